"""Every amount of every report is the sum of the postings or lines that it drills down to, whatever the books hold."""

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.finance.reports.explain import explain
from assets.finance.reports.model import Report, UnknownCell
from assets.finance.reports.registry import REPORTS, make_report
from assets.finance.reports.span import COMPARISONS, Span
from tests.assets.finance.reports.books import any_lines, any_postings, line, sources

SPAN = Span(date(2026, 2, 1), date(2026, 4, 30))
RESTATED = [name for name in REPORTS if name.startswith(("margin", "profit", "revenue", "vat", "cohort"))]


def assert_drills_down(report: Report) -> None:
    for row in report.rows:
        for column in report.columns:
            value = report.cell(row.key, column.key)
            if row.kind == "heading" or column.kind == "text":
                assert value is None or column.kind == "text"
                continue
            if report.kind_of(row, column) == "share":
                with pytest.raises(UnknownCell, match="share"):
                    explain(report, f"{row.key}:{column.key}")
                continue
            found = explain(report, f"{row.key}:{column.key}")
            assert found.total == value
            if value is not None:
                assert int(found.evidence["value"].sum()) == value, (report.name, row.key, column.key)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(postings=any_postings, lines=any_lines, by=st.integers(0, 5))
@pytest.mark.parametrize("name", REPORTS)
def test_every_cell_is_the_sum_of_what_stands_behind_it(name: str, postings, lines, by: int) -> None:
    choices = [None, *REPORTS[name].by]
    assert_drills_down(make_report(name, sources(postings, lines), SPAN, by=choices[by % len(choices)]))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(postings=any_postings, lines=any_lines)
@pytest.mark.parametrize("name", RESTATED)
def test_also_in_another_currency(name: str, postings, lines) -> None:
    assert_drills_down(make_report(name, sources(postings, lines, "USD"), SPAN))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    postings=any_postings,
    lines=any_lines,
    compare=st.sampled_from(COMPARISONS),
    currency=st.sampled_from(["EUR", "USD"]),
)
@pytest.mark.parametrize("name", ["profit_and_loss", "revenue_waterfall"])
def test_also_where_two_periods_are_compared(name: str, postings, lines, compare: str, currency: str) -> None:
    assert_drills_down(make_report(name, sources(postings, lines, currency), SPAN, compare=compare))


def test_a_cell_that_is_not_there_is_refused_with_what_is() -> None:
    report = make_report("margin_by_channel", sources([], [line(1, 1, SPAN.first)]), SPAN)
    with pytest.raises(UnknownCell, match="ROW:COLUMN, such as wholesale:units_costed"):
        explain(report, "nothing")
    with pytest.raises(UnknownCell, match="no row 'fair'; there are wholesale"):
        explain(report, "fair:cost")
    with pytest.raises(UnknownCell, match="no column 'tax'; there are units, revenue"):
        explain(report, "wholesale:tax")
