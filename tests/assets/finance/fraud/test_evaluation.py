"""The figures and the protocol, on rows small enough to count by hand."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from assets.finance.fraud import evaluation
from assets.finance.fraud.evaluation import card_precision, figures

UNTIL = datetime(2024, 5, 10)


def rows(*told: tuple[int, str, float, int]) -> pl.DataFrame:
    """Day of May, card, score and label."""
    return pl.DataFrame(
        [{"occurred_at": datetime(2024, 5, day, 12), "card": c, "score": s, "fraud": f} for day, c, s, f in told]
    )


def test_a_card_counts_once_a_day_by_its_highest_score() -> None:
    told = rows(
        (1, "a", 0.9, 0), (1, "a", 0.1, 1), (1, "b", 0.8, 0), (1, "c", 0.7, 1), (2, "b", 0.5, 1), (2, "d", 0.6, 0)
    )
    assert card_precision(told, k=2) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert card_precision(told, k=1) == pytest.approx((1 + 0) / 2)


def test_figures_of_a_perfect_and_of_a_useless_score() -> None:
    perfect = figures(rows((1, "a", 0.9, 1), (1, "b", 0.2, 0), (1, "c", 0.1, 0)))
    assert (perfect.roc_auc, perfect.average_precision, perfect.card_precision_at_100) == (1, 1, 0.01)
    useless = figures(rows((1, "a", 0.5, 1), (1, "b", 0.5, 0), (1, "c", 0.5, 0)))
    assert (useless.roc_auc, useless.average_precision) == (0.5, pytest.approx(1 / 3))


def test_where_there_is_no_fraud_or_nothing_else_there_are_no_figures() -> None:
    assert figures(rows((1, "a", 0.5, 0))).roc_auc is None
    assert figures(rows((1, "a", 0.5, 0)).clear()).rows == 0


def test_what_is_tested_lies_a_delay_later_without_the_cards_known_by_then() -> None:
    told = rows(
        (9, "known", 0.9, 1),
        (10, "known on the eleventh", 0.9, 1),
        (12, "reported too late", 0.9, 1),
        (16, "in the delay", 0.5, 0),
        (17, "known", 0.5, 0),
        (17, "known on the eleventh", 0.5, 0),
        (18, "known on the eleventh", 0.5, 0),
        (18, "reported too late", 0.5, 1),
        (23, "last day", 0.5, 0),
        (24, "after", 0.5, 0),
    )
    found = evaluation.tested_rows(told, UNTIL, 7, UNTIL - timedelta(7))
    assert [(moment.day, card) for moment, card in found.select("occurred_at", "card").rows()] == [
        (17, "known on the eleventh"),
        (18, "reported too late"),
        (23, "last day"),
    ]
    # A fraud from before anything is known blocks nobody.
    assert evaluation.tested_rows(told, UNTIL, 7, UNTIL)["card"][0] == "known"
