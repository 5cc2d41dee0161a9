"""Who forecasts a series: the ensemble, unless another was clearly better twice in a row."""

from collections.abc import Sequence

import numpy as np
import pytest

from assets.forecasting.champions import ENSEMBLE, NEEDED_GAIN, Champions, Contest, choose
from assets.forecasting.scores import QUANTILES

STEPS = 4
CONTENDERS = (ENSEMBLE, "prophet", "boosting")
SMOOTH = np.zeros(1, dtype=np.int64)


def contest(series: int = 1, ready: bool = True, **factors: float | Sequence[float]) -> Contest:
    """What came was 10; the ensemble was wrong by 5, and others by 5 times their factor: one, or one a half of the horizon."""
    actual = np.full((series, STEPS), 10.0)

    def said(factor: float | Sequence[float]) -> np.ndarray:
        halves = np.repeat(np.broadcast_to(factor, 2), STEPS // 2)
        return np.broadcast_to((10 + 5 * halves)[None, :, None], (series, STEPS, len(QUANTILES))).copy()

    told = {name: said(factors.get(name, 1.0)) for name in CONTENDERS}
    return Contest(actual, told, np.full(series, 10.0), np.full(series, ready))


def champions_of(*contests: Contest, classes: np.ndarray = SMOOTH) -> Champions:
    return choose(contests, classes, len(classes), CONTENDERS)


def test_two_clear_wins_in_a_row_make_a_champion() -> None:
    found = champions_of(contest(prophet=0.5), contest(prophet=0.7))
    assert found.names.tolist() == [["prophet", "prophet"]]
    np.testing.assert_allclose(found.ratios, 0.6)


@pytest.mark.parametrize(("first", "second"), [(0.2, 1.0), (1.0, 0.2), (0.5, 0.95), (0.95, 0.5), (0.2, 3.0)])
def test_one_win_is_not_enough_however_high(first: float, second: float) -> None:
    found = champions_of(contest(prophet=first), contest(prophet=second))
    assert found.names.tolist() == [[ENSEMBLE, ENSEMBLE]]
    assert found.ratios.tolist() == [[1, 1]]


def test_a_win_by_less_than_what_is_needed_is_none() -> None:
    under, over = 1 - NEEDED_GAIN + 0.01, 1 - NEEDED_GAIN - 0.01
    assert champions_of(contest(prophet=under), contest(prophet=under)).names[0, 0] == ENSEMBLE
    assert champions_of(contest(prophet=over), contest(prophet=over)).names[0, 0] == "prophet"


def test_where_wins_alternate_the_champion_does_not() -> None:
    run = [contest(prophet=0.4 if n % 2 else 1.6, boosting=1.6 if n % 2 else 0.4) for n in range(12)]
    served = [str(champions_of(*run[: n + 1]).names[0, 0]) for n in range(len(run))]
    assert set(served) == {ENSEMBLE}


def test_only_the_newest_two_count() -> None:
    won = [contest(prophet=0.5)] * 2
    assert champions_of(contest(prophet=2), *won).names[0, 0] == "prophet"
    assert champions_of(*won, contest(prophet=1)).names[0, 0] == ENSEMBLE


def test_before_two_contests_the_ensemble_forecasts_everything() -> None:
    assert champions_of().names.tolist() == [[ENSEMBLE, ENSEMBLE]]
    assert champions_of(contest(prophet=0.1)).names.tolist() == [[ENSEMBLE, ENSEMBLE]]


def test_halves_of_the_horizon_have_champions_of_their_own() -> None:
    found = champions_of(*[contest(prophet=(0.5, 1.5), boosting=(1.5, 0.5))] * 2)
    assert found.names.tolist() == [["prophet", "boosting"]]


def test_of_two_that_won_the_better_is_taken() -> None:
    found = champions_of(*[contest(prophet=0.7, boosting=0.6)] * 2)
    assert found.names.tolist() == [["boosting", "boosting"]]
    found = champions_of(*[contest(prophet=0.6, boosting=0.7)] * 2)
    assert found.names.tolist() == [["prophet", "prophet"]]


def test_a_series_without_a_history_then_stays_with_the_ensemble() -> None:
    assert champions_of(*[contest(prophet=0.1, ready=False)] * 2).names[0, 0] == ENSEMBLE


def test_luck_of_one_series_is_drawn_to_its_class() -> None:
    """One series of fifty where prophet was a fifth better in spite of being far worse in the class: not believed."""
    lucky = contest(series=50, prophet=1.5)
    lucky.said["prophet"][0] = 10 + 5 * 0.8
    classes = np.zeros(50, dtype=np.int64)
    assert (champions_of(lucky, lucky, classes=classes).names == ENSEMBLE).all()
    # In a class of its own it is.
    classes[0] = 1
    found = champions_of(lucky, lucky, classes=classes).names
    assert found[0].tolist() == ["prophet", "prophet"]
    assert (found[1:] == ENSEMBLE).all()


def test_a_big_seller_does_not_speak_for_its_class() -> None:
    many = contest(series=20, prophet=0.5)
    for table in (many.actual, many.said[ENSEMBLE], many.said["prophet"], many.level):
        table[0] *= 10_000
    many.said["prophet"][0] = many.actual[0, 0] * 1.75
    found = champions_of(many, many, classes=np.zeros(20, dtype=np.int64)).names
    assert found[0, 0] == ENSEMBLE
    assert (found[1:, 0] == "prophet").all()


def test_an_ensemble_without_an_error_is_kept() -> None:
    perfect = contest()
    perfect.said[ENSEMBLE][:] = 10
    assert champions_of(perfect, perfect).names[0, 0] == ENSEMBLE


def test_a_horizon_of_one_has_one_half() -> None:
    one = contest(prophet=0.5)
    short = Contest(one.actual[:, :1], {name: told[:, :1] for name, told in one.said.items()}, one.level, one.ready)
    assert champions_of(short, short).names.tolist() == [["prophet", ENSEMBLE]]
