"""Rolling origins over a table: the forecasts that come of it, their scores, and how good they are on real series."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.forecasting.demand_class import NAMES
from assets.forecasting.ensemble import CONTENDERS
from assets.forecasting.evaluate import FORECASTS, Evaluation, evaluate, rolling_forecasts, with_actuals
from assets.forecasting.members import Memory
from assets.forecasting.panel import InvalidPanel, read_panel
from assets.forecasting.scores import QUANTILE_COLUMNS, pinball, score
from benchmarks import forecast_references
from benchmarks.online_retail import FILE, FREQ, some_series, weekly_sales
from tests.assets.forecasting.series import MONDAY, invented_demand, panel_of, table_of

HORIZON, ORIGINS, STEP = 4, 3, 5
PERIODS = 60


def week(number: int) -> date:
    return MONDAY + timedelta(weeks=number)


@pytest.fixture(scope="module")
def sales() -> pl.DataFrame:
    y = invented_demand(40, PERIODS, seed=1)
    y[::7, :20] = np.nan
    y[3, :48] = np.nan
    return table_of(panel_of(y))


@pytest.fixture(scope="module")
def found(sales: pl.DataFrame) -> Evaluation:
    return evaluate(sales, freq="W-MON", horizon=HORIZON, origins=ORIGINS, step=STEP)


def test_origins_lie_a_step_apart_and_the_newest_a_horizon_before_the_end(found: Evaluation) -> None:
    last = PERIODS - HORIZON - 1
    cutoffs = [week(last - 2 * STEP), week(last - STEP), week(last)]
    assert found.forecasts.schema == pl.Schema(FORECASTS)
    assert found.forecasts["cutoff"].unique().sort().to_list() == cutoffs
    assert list(found.by_cutoff) == cutoffs
    ahead = (found.forecasts["ds"] - found.forecasts["cutoff"]).dt.total_days() // 7
    assert ahead.unique().sort().to_list() == [1, 2, 3, 4]
    assert set(found.forecasts["model"]) <= set(CONTENDERS)
    assert found.forecasts.select(pl.struct("unique_id", "cutoff", "ds").is_duplicated().any()).item() is False


def test_a_series_that_had_not_begun_has_no_row_at_that_origin(found: Evaluation) -> None:
    young = found.forecasts.filter(unique_id="s0003")
    assert young["cutoff"].unique().sort().to_list() == [week(50), week(55)]
    assert found.forecasts.height == (40 * ORIGINS - 1) * HORIZON


def test_classes_and_cutoffs_are_parts_of_the_whole(found: Evaluation) -> None:
    assert tuple(found.by_class) == NAMES
    for parts in (found.by_class, found.by_cutoff):
        assert sum(scores.rows for scores in parts.values() if scores) == found.overall.rows == found.forecasts.height
    assert found.series == 40
    assert found.cpu_seconds > 0


def test_scores_are_of_the_forecasts_beside_what_came(sales: pl.DataFrame, found: Evaluation) -> None:
    joined = found.forecasts.join(sales, on=["unique_id", "ds"], how="left")
    assert joined["y"].null_count() == 0
    wape = np.abs((joined["y"] - joined["mean"]).to_numpy()).sum() / joined["y"].to_numpy().sum()
    assert found.overall.wape == pytest.approx(wape)
    inside = joined.select((pl.col("y") >= pl.col("q0.1")) & (pl.col("y") <= pl.col("q0.9"))).to_series().mean()
    assert found.overall.coverage_80 == pytest.approx(inside)


def test_the_scale_of_rmsse_is_what_was_known_at_the_cutoff() -> None:
    panel = panel_of([[1, 3, 3, 100, 100.0]])
    told = pl.DataFrame({"unique_id": ["s0000"] * 2, "cutoff": [week(2)] * 2, "ds": [week(3), week(9)]})
    beside = with_actuals(told, panel)
    assert beside.height == 1, "what has not come yet is left out"
    assert beside.row(0, named=True) | {"y": 100.0, "scale": 2.0} == beside.row(0, named=True)


def test_rolling_forecasts_are_those_that_are_evaluated(sales: pl.DataFrame, found: Evaluation) -> None:
    cutoffs = list(found.by_cutoff)
    again = rolling_forecasts(sales, freq="W-MON", horizon=HORIZON, cutoffs=cutoffs)
    assert again.equals(found.forecasts)
    alone = rolling_forecasts(sales, freq="W-MON", horizon=HORIZON, cutoffs=cutoffs[1:2])
    assert alone.equals(found.forecasts.filter(cutoff=cutoffs[1]))
    shuffled = rolling_forecasts(
        sales.sample(fraction=1, shuffle=True, seed=3), freq="W-MON", horizon=4, cutoffs=cutoffs
    )
    assert shuffled.equals(found.forecasts)


def test_what_comes_after_a_cutoff_changes_no_forecast_made_then(sales: pl.DataFrame, found: Evaluation) -> None:
    cutoffs = list(found.by_cutoff)
    for cutoff in cutoffs:
        cut = sales.filter(pl.col("ds") <= cutoff)
        made_then = rolling_forecasts(cut, freq="W-MON", horizon=HORIZON, cutoffs=[cutoff])
        spiked = sales.with_columns(
            pl.when(pl.col("ds") > cutoff).then(pl.col("y") * 1000 + 7).otherwise("y").alias("y")
        )
        next_month = pl.concat(
            [
                sales,
                *(sales.filter(ds=week(59)).with_columns(ds=pl.lit(week(60 + n))) for n in range(4)),
                pl.DataFrame({"unique_id": ["a new one", "zz"], "ds": [week(61)] * 2, "y": [9.0, 1.0]}),
            ]
        )
        known = found.forecasts.filter(cutoff=cutoff)
        assert made_then.equals(known)
        for later in (spiked, next_month):
            told = rolling_forecasts(later, freq="W-MON", horizon=HORIZON, cutoffs=[cutoff])
            assert told.equals(known)


def test_a_shuffled_future_is_not_foreseen() -> None:
    """Weeks of a strong trend in random order: there is nothing to know, and a forecast is no better than the mean."""
    random = np.random.default_rng(2)
    y = random.poisson(random.lognormal(2, 0.7, (60, 1)) * np.linspace(0.2, 3, 80)).astype(float)
    for row in y:
        random.shuffle(row)
    panel = panel_of(y)
    found = evaluate(table_of(panel), freq="W-MON", horizon=8, origins=3, step=8)
    scored = with_actuals(found.forecasts, panel).sort("unique_id", "cutoff", "ds")
    y_true = scored["y"].to_numpy()
    told = scored.select(QUANTILE_COLUMNS).to_numpy()
    # The oracle of exchangeable weeks: the mean and the quantiles of the whole row, which nobody could know.
    row = dict(zip(panel.ids, y, strict=True))
    levels = np.array([0.025, 0.1, 0.5, 0.9, 0.975])
    best = np.stack([np.quantile(row[name], levels) for name in scored["unique_id"]])
    assert pinball(y_true, told, levels).sum() > pinball(y_true, best, levels).sum()
    mean = np.array([row[name].mean() for name in scored["unique_id"]])
    assert ((y_true - scored["mean"].to_numpy()) ** 2).sum() > ((y_true - mean) ** 2).sum()


def test_forecasts_of_permuted_actuals_are_worse_than_a_plain_mean(found: Evaluation, sales: pl.DataFrame) -> None:
    """The skill that is measured is of the series itself, and is gone where what came is dealt out anew."""
    scored = with_actuals(found.forecasts, read_panel(sales, "W-MON"))
    random = np.random.default_rng(3)
    permuted = scored.with_columns(y=pl.Series(random.permutation(scored["y"].to_numpy())))
    plain = permuted.with_columns(mean=pl.lit(scored["y"].to_numpy().mean()))
    of_permuted, of_plain, of_actual = score(permuted), score(plain), score(scored)
    assert of_permuted is not None
    assert of_plain is not None
    assert of_actual is not None
    assert (of_permuted.wape or 0) > (of_plain.wape or 0)
    assert (of_actual.weighted_pinball or 1) < 0.7 * (of_permuted.weighted_pinball or 0)
    assert of_permuted.coverage_80 < 0.65


def test_a_memory_spares_what_did_not_change(sales: pl.DataFrame, found: Evaluation, tmp_path: Path) -> None:
    file = tmp_path / "memory.parquet"

    def run(table: pl.DataFrame) -> tuple[Memory, Evaluation]:
        memory = Memory(file)
        told = evaluate(table, freq="W-MON", horizon=HORIZON, origins=ORIGINS, step=STEP, memory=memory)
        memory.save()
        return memory, told

    first, told = run(sales)
    assert told.forecasts.equals(found.forecasts)
    assert first.fitted > 40 * ORIGINS
    second, told = run(sales)
    assert second.fitted == 0
    assert told.forecasts.equals(found.forecasts)
    # Week 47 is known at the origins from 48 on: 50, 55 and the newest, 56, have it, and those that look back at them too.
    changed = sales.with_columns(
        pl.when((pl.col("unique_id") == "s0008") & (pl.col("ds") == week(47))).then(99.0).otherwise("y").alias("y")
    )
    third, _ = run(changed)
    assert 0 < third.fitted <= first.fitted // 30


def test_progress_is_told_an_origin_at_a_time(sales: pl.DataFrame) -> None:
    told: list[tuple[int, int]] = []
    rolling_forecasts(
        sales, freq="W-MON", horizon=2, cutoffs=[week(40), week(50)], progress=lambda *done: told.append(done)
    )
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("series", [1, 2, 5])
def test_small_tables_are_evaluated(series: int) -> None:
    found = evaluate(table_of(panel_of(invented_demand(series, 60, seed=4))), freq="W-MON")
    assert found.overall.rows == series * 4 * 8
    assert sum(scores is None for scores in found.by_class.values()) == max(0, 4 - series)


@pytest.mark.parametrize(("horizon", "periods"), [(1, 40), (25, 40)])
def test_short_and_long_horizons_are_evaluated(horizon: int, periods: int) -> None:
    found = evaluate(table_of(panel_of(invented_demand(20, periods, seed=5))), freq="W-MON", horizon=horizon, origins=1)
    assert found.overall.rows == 20 * horizon
    assert found.overall.wape is not None
    assert found.overall.wape < 1


def test_days_are_evaluated_with_their_week_and_holidays() -> None:
    week_of = np.array([1, 1, 1, 1, 2, 5, 0.1])
    random = np.random.default_rng(6)
    y = random.poisson(random.lognormal(2, 0.5, (20, 1)) * np.tile(week_of, 30)).astype(float)
    table = table_of(panel_of(y, "D"))
    found = evaluate(table, freq="D", horizon=14, origins=2, step=14, country="FR")
    by_day = found.forecasts.group_by(pl.col("ds").dt.weekday()).agg(pl.col("mean").mean()).sort("ds")["mean"]
    assert by_day[5] > 2 * by_day[0]
    assert by_day[6] < 0.5 * by_day[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"horizon": 0}, "1 or more"),
        ({"origins": 0}, "1 or more"),
        ({"step": 0}, "1 or more"),
        ({"horizon": 49}, "an origin needs 12 periods before it.*longer history"),
        ({"origins": 20}, "an origin needs 12 periods before it.*take fewer origins"),
        ({"country": "XX"}, "XX"),
        ({"freq": "M"}, "freq 'M' is not known"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_a_remedy(sales: pl.DataFrame, options: dict, said: str) -> None:
    with pytest.raises(InvalidPanel, match=said):
        evaluate(sales, **({"freq": "W-MON", "horizon": 4, "origins": 2} | options))


@pytest.mark.parametrize(
    ("cutoff", "said"), [(week(40) + timedelta(1), "no period"), (week(5), "12 periods"), (week(60), "12")]
)
def test_a_cutoff_that_cannot_be_is_refused(sales: pl.DataFrame, cutoff: date, said: str) -> None:
    with pytest.raises(InvalidPanel, match=said):
        rolling_forecasts(sales, freq="W-MON", horizon=4, cutoffs=[cutoff])


@pytest.mark.slow
def test_on_real_series_it_beats_theta_and_its_intervals_hold(shared_data: Path) -> None:
    sales = some_series(weekly_sales(shared_data / FILE.name), seed=7)
    found = evaluate(sales, freq=FREQ)
    panel = read_panel(sales, FREQ)
    origins = [panel.period(cutoff) + 1 for cutoff in found.by_cutoff]
    told, _ = forecast_references.forecast("DynamicOptimizedTheta", panel, 8, origins)
    loss, sold = 0.0, 0.0
    for origin, theta in zip(origins, told, strict=True):
        came = panel.y[:, origin : origin + 8]
        loss += 2 * pinball(came, theta[..., 1:], np.array([0.025, 0.1, 0.5, 0.9, 0.975])).sum() / 5
        sold += came.sum()
    assert found.overall.weighted_pinball is not None
    assert found.overall.weighted_pinball < 0.96 * loss / sold
    assert 0.77 <= found.overall.coverage_80 <= 0.83
    assert 0.93 <= found.overall.coverage_95 <= 0.97
    for name, scores in found.by_class.items():
        assert scores is not None
        assert 0.72 <= scores.coverage_80 <= 0.88, name
