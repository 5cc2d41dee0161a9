"""Lead times: the catalogue without receipts, the supplier's own pace with many, and something between with few."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.inventory.buying.lead_times import LeadTime, Prior, learn, sku_lead_times, supplier_lead_times
from resources.store.purchasing import DELIVERIES

DAY = date(2026, 1, 5)
AS_OF = date(2026, 12, 31)
Row = tuple[str, str | None, int, int | None, int | None, int | None]


def deliveries(*rows: Row) -> pl.DataFrame:
    """order, supplier, units ordered, promised days, days until they arrived (None: not yet), units."""
    full = [
        (number, supplier, DAY, ordered, promised, None if days is None else DAY + timedelta(days=days), units)
        for number, supplier, ordered, promised, days, units in rows
    ]
    return pl.DataFrame(full, schema=DELIVERIES, orient="row")


def catalog(*rows: tuple[str, str | None, int | None]) -> pl.DataFrame:
    schema = {"sku": pl.String, "supplier": pl.String, "lead_time_days": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_without_a_receipt_the_catalogues_number_is_the_mean_and_the_spread_is_the_priors():
    learnt = learn(deliveries(), AS_OF, Prior(spread=0.2))
    (row,) = sku_lead_times(learnt, catalog(("BAG", "Arnolfi", 50))).to_dicts()
    assert (row["lead_time_mean"], row["lead_time_sd"]) == pytest.approx((50.0, 10.0))
    assert row["lead_time_source"] == "catalogue"


def test_many_receipts_outweigh_the_catalogue():
    late = [(f"PO-{n}", "Arnolfi", 10, 40, 60 + n % 3, 10) for n in range(200)]
    time = learn(deliveries(*late), AS_OF).ratio("Arnolfi").of(40)
    assert time.mean == pytest.approx(61, abs=0.6)
    assert time.sd < 3.5


def test_few_receipts_are_shrunk_towards_what_all_suppliers_take():
    others = [(f"PO-{n}", f"S{n % 5}", 10, 40, 60, 10) for n in range(60)]
    learnt = learn(deliveries(*others, ("PO-X", "Arnolfi", 10, 40, 40, 10)), AS_OF)
    everybody = learnt.everybody.of(40).mean
    assert 40 < learnt.ratio("Arnolfi").of(40).mean < everybody
    assert learnt.ratio("Nobody yet").of(40).mean == everybody
    assert learnt.source("Arnolfi") == "receipts"
    assert learnt.source("Nobody yet") == "all suppliers"


def test_suppliers_with_other_promises_are_pooled_by_their_ratio():
    """One promises a week and takes two, the other ten weeks and takes twenty: both take twice as long."""
    rows = [(f"PO-{n}", "Near" if n % 2 else "Far", 1, 7 if n % 2 else 70, 14 if n % 2 else 140, 1) for n in range(300)]
    learnt = learn(deliveries(*rows), AS_OF)
    assert learnt.everybody.mean == pytest.approx(2.0, abs=0.02)


def test_an_order_that_arrives_in_parts_counts_once_each_part_by_its_units():
    whole = learn(deliveries(("PO-1", "Arnolfi", 10, 40, 50, 10)), AS_OF).ratio("Arnolfi")
    parts = learn(deliveries(("PO-1", "Arnolfi", 10, 40, 40, 5), ("PO-1", "Arnolfi", 10, 40, 60, 5)), AS_OF).ratio(
        "Arnolfi"
    )
    assert (whole.weight, parts.weight) == pytest.approx((1.0, 1.0))
    assert (whole.orders, parts.orders) == (1, 1)
    assert parts.mean == pytest.approx(whole.mean)
    assert parts.variance > whole.variance


def test_what_waits_longer_than_expected_counts_with_the_days_it_has_waited():
    fresh = learn(deliveries(("PO-1", "Arnolfi", 10, 40, None, None)), DAY + timedelta(days=20)).ratio("Arnolfi")
    late = learn(deliveries(("PO-1", "Arnolfi", 10, 40, None, None)), DAY + timedelta(days=80)).ratio("Arnolfi")
    assert fresh.mean == 1.0
    assert late.mean > 1.0
    partly = learn(deliveries(("PO-1", "Arnolfi", 10, 40, 40, 9)), DAY + timedelta(days=80)).ratio("Arnolfi")
    assert 1.0 < partly.mean < late.mean


def test_what_arrives_later_than_the_day_of_the_question_is_not_known_yet():
    rows = deliveries(("PO-1", "Arnolfi", 10, 40, 70, 10))
    assert learn(rows, DAY + timedelta(days=30)).ratio("Arnolfi").mean == 1.0
    assert learn(rows, DAY - timedelta(days=1)).suppliers == {}


def test_suppliers_are_told_with_their_quantiles():
    row = supplier_lead_times(learn(deliveries(), AS_OF), catalog(("A", "Arnolfi", 40), ("B", "Arnolfi", 60))).row(
        0, named=True
    )
    assert (row["supplier"], row["promised_days"], row["orders"]) == ("Arnolfi", 50, 0)
    assert row["lead_time_p50"] < row["lead_time_mean"] < row["lead_time_p90"]


def test_the_distribution_is_scipys_gamma():
    from scipy.stats import gamma

    time = LeadTime(40.0, 100.0)
    for share in (0.05, 0.5, 0.95):
        assert time.quantile(share) == pytest.approx(gamma.ppf(share, a=16, scale=2.5))
    assert LeadTime(40.0, 0.0).quantile(0.9) == 40.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        time.quantile(1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B", None]), st.integers(1, 20), st.integers(0, 200), st.integers(1, 30)),
        max_size=30,
    )
)
def test_a_mean_lies_between_the_prior_and_what_was_seen_and_a_variance_is_never_negative(rows):
    learnt = learn(deliveries(*((f"PO-{n}", s, u, 40, d, got) for n, (s, u, d, got) in enumerate(rows))), AS_OF)
    ratios = [d / 40 for _, _, d, _ in rows] + [(AS_OF - DAY).days / 40, 1.0]
    for ratio in (learnt.everybody, *learnt.suppliers.values()):
        assert min(ratios) - 1e-9 <= ratio.mean <= max(ratios) + 1e-9
        assert ratio.variance > 0
