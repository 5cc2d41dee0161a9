"""Matching on frames: what each rule takes, what none may take, and what holds for every set of lines and orders.

Does not belong here: files (`test_reading`), the books (`test_reconcile`).
"""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.fx import RATIOS
from assets.finance.money import to_decimal
from assets.finance.payouts.banked import BANK_ROWS, BANKED, PAYOUT_ROWS, match_bank, match_customers, reconciliation
from assets.finance.payouts.matching import ACTIVE, LINES, MATCHES, ORDERS, Limits, match_lines, open_pools
from assets.finance.payouts.unmatched import unmatched_items
from assets.finance.payouts.words import shown

DAY = date(2026, 11, 3)
PROCESSORS = {"shopify": "shopify", "online_store": "stripe", "amazon": "amazon"}
NOTHING = pl.DataFrame(schema=ACTIVE)
RATES = pl.DataFrame([{"day": DAY, "currency": "USD", "numerator": 920_000, "denominator": 1_000_000}]).select(
    pl.col(n).cast(t) if n in ("day", "currency", "numerator", "denominator") else pl.lit(None, t).alias(n)
    for n, t in RATIOS.items()
)
LIMITS = Limits()


def line(line_id: int, gross: int, ref: str | None = None, kind: str = "", **more: Any) -> dict[str, Any]:
    day = more.pop("day", DAY)
    kind = kind or ("charge" if gross > 0 else "refund")
    base = {"line_id": line_id, "processor": "stripe", "source": "stripe", "line_key": f"k{line_id}", "kind": kind}
    base |= {
        "order_ref": ref,
        "occurred_on": day,
        "occurred_at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
    }
    return base | {"gross_minor": gross, "fee_minor": 0, "net_minor": gross, "currency": "EUR"} | more


def order(order_id: int, paid: int, number: str | None = None, refunded: int = 0, **more: Any) -> dict[str, Any]:
    base = {"order_id": order_id, "number": number or str(1000 + order_id), "channel": "online_store", "placed_on": DAY}
    return base | {"currency": "EUR", "paid_minor": paid, "refunded_minor": refunded} | more


def frame(rows: list[dict[str, Any]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def match(lines: list[dict[str, Any]], orders: list[dict[str, Any]], active: pl.DataFrame = NOTHING) -> pl.DataFrame:
    return match_lines(frame(lines, LINES), frame(orders, ORDERS), active, PROCESSORS, RATES, LIMITS)


def found(*args: Any, **more: Any) -> list[tuple[Any, ...]]:
    return match(*args, **more).select("line_id", "order_id", "rule", "order_amount_minor").rows()


def as_active(matches: pl.DataFrame) -> pl.DataFrame:
    rows = [{"match_id": n, **row} for n, row in enumerate(matches.to_dicts(), start=1)]
    return frame(rows, ACTIVE)


def test_a_number_and_its_amount_match_however_the_number_is_written() -> None:
    assert found([line(1, 500, "# 1001a")], [order(1, 500, "1001A")]) == [(1, 1, "reference", 500)]


def test_payments_of_one_order_are_matched_when_they_add_up_to_it() -> None:
    assert found([line(1, 200, "1001"), line(2, 300, "1001")], [order(1, 500)]) == [
        (1, 1, "reference_sum", 200),
        (2, 1, "reference_sum", 300),
    ]


def test_a_part_is_matched_as_a_part_and_says_so() -> None:
    found = match([line(1, 200, "1001")], [order(1, 500)])
    assert found.select("rule", "flag").rows() == [("reference_partial", "part of 5.00 EUR that are open")]


def test_more_than_is_open_is_never_matched() -> None:
    assert found([line(1, 501, "1001")], [order(1, 500)]) == []
    assert found([line(1, 400, "1001"), line(2, 200, "1001")], [order(1, 500)]) == [(1, 1, "reference_partial", 400)]


def test_of_two_equal_payments_the_first_is_matched() -> None:
    later = line(1, 500, "1001", day=DAY + timedelta(1))
    assert found([later, line(2, 500, "1001")], [order(1, 500)]) == [(2, 1, "reference", 500)]


def test_the_same_number_in_two_channels_means_the_one_that_the_processor_clears() -> None:
    orders = [order(1, 500, "7", channel="amazon"), order(2, 500, "7")]
    assert found([line(1, 500, "7")], orders) == [(1, 2, "reference", 500)]
    twice = [order(1, 500, "7"), order(2, 500, "7")]
    assert found([line(1, 500, "7")], twice) == []


def test_an_order_of_another_processors_channel_is_matched_whole_or_not_at_all() -> None:
    orders = [order(1, 500, "7", channel="shopify")]
    assert found([line(1, 500, "7")], orders) == [(1, 1, "reference", 500)]
    assert found([line(1, 499, "7")], orders) == []


def test_the_channels_own_id_names_the_order_too() -> None:
    orders = [order(1, 500, external_id="GID-9")]
    assert found([line(1, 500, external_id="gid-9")], orders) == [(1, 1, "external_id", 500)]


def test_refunds_and_disputes_find_their_order_through_the_payment() -> None:
    lines = [
        line(1, 500, "1001", external_id="ch_1"),
        line(2, -200, original_id="ch_1"),
        line(3, -500, kind="chargeback", original_id="ch_1"),
    ]
    assert found(lines, [order(1, 500, refunded=200)]) == [
        (1, 1, "reference", 500),
        (2, 1, "original", 200),
        (3, 1, "original", 500),
    ]


def test_what_the_client_saw_is_compared_where_currencies_differ() -> None:
    usd = line(1, 46000, "1001", presentment_minor=50000, presentment_currency="USD")
    matched = match([usd], [order(1, 50000, currency="USD")])
    assert matched.select(
        "rule", "amount_minor", "currency", "order_amount_minor", "order_currency", "flag"
    ).rows() == [("reference", 46000, "EUR", 50000, "USD", None)]


@pytest.mark.parametrize(
    ("gross", "rule"), [(46000, "reference_converted"), (44700, "reference_converted"), (44500, None)]
)
def test_without_it_only_the_days_rate_and_a_tolerance_say_that_they_are_the_same(gross: int, rule: str | None) -> None:
    matched = match([line(1, gross, "1001")], [order(1, 50000, currency="USD")])
    assert matched["rule"].to_list() == ([rule] if rule else [])
    assert matched["flag"].is_not_null().all()
    # Of a currency without a rate nothing is said.
    assert found([line(1, gross, "1001")], [order(1, 50000, currency="GBP")]) == []


def test_without_a_number_only_a_single_order_of_this_amount_near_in_time_is_taken() -> None:
    one = [order(1, 500, placed_on=DAY - timedelta(3))]
    assert found([line(1, 500)], one) == [(1, 1, "amount_and_date", 500)]
    assert found([line(1, 500)], [order(1, 500, placed_on=DAY - timedelta(4))]) == []
    assert found([line(1, 500)], [*one, order(2, 500)]) == []
    assert found([line(1, 500), line(2, 500)], one) == []
    assert found([line(1, 500)], [order(1, 500, channel="amazon")]) == []
    assert found([line(1, 500, "unknown")], one) == []


def test_what_a_named_order_leaves_may_be_the_only_one_for_a_line_without_a_number() -> None:
    lines = [line(1, 500), line(2, 500, "1002")]
    assert found(lines, [order(1, 500), order(2, 500)]) == [(1, 1, "amount_and_date", 500), (2, 2, "reference", 500)]


_AMOUNTS = st.sampled_from([100, 200, 300, 500])
_NUMBERS = st.sampled_from(["1", "2", "3", "4"])


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    orders = [
        order(
            n,
            draw(_AMOUNTS),
            draw(_NUMBERS),
            draw(st.sampled_from([0, 0, 100, 200])),
            channel=draw(st.sampled_from(list(PROCESSORS))),
            currency=draw(st.sampled_from(["EUR", "EUR", "USD"])),
            placed_on=DAY + timedelta(draw(st.integers(0, 8))),
        )
        for n in range(1, draw(st.integers(1, 6)) + 1)
    ]
    lines = []
    for n in range(1, draw(st.integers(1, 9)) + 1):
        kind = draw(st.sampled_from(["charge", "charge", "charge", "refund", "chargeback", "fee"]))
        gross = draw(_AMOUNTS) * (1 if kind == "charge" else -1)
        more: dict[str, Any] = {"day": DAY + timedelta(draw(st.integers(0, 8))), "external_id": f"x{n}"}
        if draw(st.booleans()):
            more |= {"presentment_minor": gross, "presentment_currency": draw(st.sampled_from(["EUR", "USD"]))}
        if draw(st.integers(0, 3)) == 0:
            more |= {"original_id": f"x{draw(st.integers(1, 9))}"}
        lines.append(line(n, gross, draw(st.none() | _NUMBERS), kind, **more))
    return lines, orders


@given(_cases(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_nothing_is_matched_twice_or_beyond_its_amount_and_the_order_of_rows_is_nothing(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]]], random: Any
) -> None:
    lines, orders = case
    matched = match(lines, orders)
    assert matched["line_id"].is_unique().all()
    pools = open_pools(frame(orders, ORDERS), as_active(matched))
    assert (pools["open_minor"] >= 0).all()
    by_id = {row["line_id"]: row for row in lines}
    for row in matched.iter_rows(named=True):
        its = by_id[row["line_id"]]
        assert row["amount_minor"] == its["gross_minor"]
        if row["currency"] == row["order_currency"]:
            assert row["order_amount_minor"] == abs(its["gross_minor"])
    # Applied again it finds nothing more.
    assert match(lines, orders, as_active(matched)).is_empty()
    random.shuffle(lines)
    random.shuffle(orders)
    assert match(lines, orders).equals(matched)


def test_a_hundred_thousand_lines_are_matched_in_seconds() -> None:
    """Also where every amount is the same, and a line for each order has no number or a wrong one."""
    count = 100_000
    ids = pl.int_range(1, count + 1, eager=True)
    orders = pl.DataFrame({"order_id": ids}).select(
        "order_id",
        (pl.col("order_id") + 1_000_000).cast(pl.String).alias("number"),
        pl.lit("online_store").alias("channel"),
        pl.lit(None, pl.String).alias("external_id"),
        (pl.lit(date(2020, 1, 1)) + pl.duration(days=pl.col("order_id") // 50)).cast(pl.Date).alias("placed_on"),
        pl.lit("EUR").alias("currency"),
        pl.lit(9900, pl.Int64).alias("paid_minor"),
        pl.lit(0, pl.Int64).alias("refunded_minor"),
    )
    wrong = pl.col("order_id") % 10 == 0
    number = (
        pl.when(pl.col("order_id") % 20 == 0)
        .then(pl.lit("9") + pl.col("number"))
        .when(wrong)
        .then(None)
        .otherwise("number")
    )
    noon = pl.col("placed_on").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    lines = orders.with_columns(
        pl.col("order_id").alias("line_id"),
        pl.lit("stripe").alias("processor"),
        pl.lit("charge").alias("kind"),
        number.alias("order_ref"),
        pl.col("order_id").cast(pl.String).alias("line_key"),
        noon.alias("occurred_at"),
        pl.col("placed_on").alias("occurred_on"),
        pl.lit(9900, pl.Int64).alias("gross_minor"),
        pl.lit(0, pl.Int64).alias("fee_minor"),
        pl.lit(9900, pl.Int64).alias("net_minor"),
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in LINES.items() if name not in lines.columns]
    lines = lines.with_columns(missing).select(*LINES)
    started = time.process_time()
    matched = match_lines(lines, orders, NOTHING, PROCESSORS, RATES, LIMITS)
    assert matched.height == count * 9 // 10
    report = reconciliation(frame([], PAYOUT_ROWS), lines, frame([], BANK_ROWS), NOTHING, LIMITS, DAY)
    left = unmatched_items(
        lines, orders, report, frame([], BANK_ROWS), as_active(matched), PROCESSORS, frozenset(), DAY
    )
    assert left.filter(pl.col("item") == "settlement_line").height == count // 10
    assert time.process_time() - started < 15


@pytest.mark.parametrize(("minor", "currency"), [(129900, "EUR"), (-5, "EUR"), (-1234, "KWD"), (7, "JPY"), (0, "CLF")])
def test_amounts_are_told_in_the_digits_of_their_currency(minor: int, currency: str) -> None:
    row = pl.DataFrame({"amount": [minor], "currency": [currency]})
    assert row.select(shown("amount")).item() == str(to_decimal(minor, currency))


# Payouts and the bank


def payout(payout_id: int, amount: int | None, ref: str = "", **more: Any) -> dict[str, Any]:
    base = {"payout_id": payout_id, "processor": "stripe", "payout_ref": ref or f"po_{payout_id}", "currency": "EUR"}
    return base | {"amount_minor": amount, "paid_on": DAY, "pooled": False} | more


def booked(bank_line_id: int, amount: int, reference: str = "", **more: Any) -> dict[str, Any]:
    base = {"bank_line_id": bank_line_id, "account": "main", "line_key": str(bank_line_id), "booked_on": DAY}
    return base | {"amount_minor": amount, "currency": "EUR", "reference": reference} | more


def banked(
    payouts: list[dict[str, Any]], bank: list[dict[str, Any]], lines: list[dict[str, Any]] | None = None
) -> list[Any]:
    matches = match_bank(
        frame(payouts, PAYOUT_ROWS), frame(lines or [], LINES), frame(bank, BANK_ROWS), NOTHING, LIMITS
    )
    return matches.select("bank_line_id", "payout_id", "rule").rows()


def test_a_payout_is_found_at_the_bank_by_its_id_its_name_or_its_amount_alone() -> None:
    payouts = [payout(1, 500), payout(2, 500), payout(3, 700), payout(4, 900)]
    bank = [
        booked(1, 500, "STRIPE PO-2"),
        booked(2, 500, "po_1 transfer"),
        booked(3, 700, "Stripe Payments"),
        booked(4, 900),
    ]
    assert banked(payouts, bank) == [
        (1, 2, "payout_reference"),
        (2, 1, "payout_reference"),
        (3, 3, "payout_name"),
        (4, 4, "payout_amount"),
    ]


def test_a_payout_is_not_found_where_two_lines_fit_or_the_day_is_far() -> None:
    assert banked([payout(1, 500)], [booked(1, 500, "stripe"), booked(2, 500, "stripe")]) == []
    assert banked([payout(1, 500), payout(2, 500)], [booked(1, 500, "stripe")]) == []
    assert banked([payout(1, 500)], [booked(1, 500, booked_on=DAY + timedelta(11))]) == []
    assert banked([payout(1, 500)], [booked(1, 501, "po_1")]) == []
    assert banked([payout(1, 500)], [booked(1, 500, "po_1", currency="USD")]) == []


def test_a_payout_that_states_no_amount_is_what_its_lines_come_to() -> None:
    lines = [
        line(1, 400, payout_ref="po_1"),
        line(2, 100, payout_ref="po_1"),
        line(3, -500, kind="payout", payout_ref="po_1"),
    ]
    assert banked([payout(1, None)], [booked(1, 500)], lines) == [(1, 1, "payout_amount")]


@pytest.mark.parametrize(
    ("stated", "lines", "bank", "state", "difference"),
    [
        (500, [500], 500, "banked", 0),
        (500, [499], 500, "differs", 1),
        (500, [500], 498, "differs", -2),
        (500, [], None, "no_lines", 0),
        (500, [500], None, "overdue", 0),
        (0, [100, -100], None, "nothing_due", 0),
    ],
)
def test_the_state_of_a_payout_names_the_difference(
    stated: int, lines: list[int], bank: int | None, state: str, difference: int
) -> None:
    of_lines = [line(n, amount, payout_ref="po_1") for n, amount in enumerate(lines, 1)]
    active = (
        [{"match_id": 1, "bank_line_id": 1, "payout_id": 1, "amount_minor": bank, "currency": "EUR"}] if bank else []
    )
    rows = reconciliation(
        frame([payout(1, stated)], PAYOUT_ROWS),
        frame(of_lines, LINES),
        frame([booked(1, bank)] if bank else [], BANK_ROWS),
        frame(active, ACTIVE),
        LIMITS,
        DAY + timedelta(30),
    )
    assert rows.select("state", "difference_minor").rows() == [(state, difference)]
    assert (rows["explanation"][0] is None) == (state in ("banked", "nothing_due"))


@given(
    st.lists(st.tuples(_AMOUNTS, st.integers(0, 12), st.booleans()), min_size=1, max_size=7),
    st.lists(st.tuples(_AMOUNTS, st.integers(0, 12), st.sampled_from(["", "stripe", "po_1", "PO-2"])), max_size=7),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_payouts_and_bank_lines_are_matched_once_in_equal_amounts_whatever_their_order(
    sent: list[tuple[int, int, bool]], got: list[tuple[int, int, str]], random: Any
) -> None:
    payouts = [payout(n, amount, paid_on=DAY + timedelta(day)) for n, (amount, day, _) in enumerate(sent, 1)]
    bank = [booked(n, amount, text, booked_on=DAY + timedelta(day)) for n, (amount, day, text) in enumerate(got, 1)]
    pairs = banked(payouts, bank)
    assert len({line_id for line_id, _, _ in pairs}) == len({payout_id for _, payout_id, _ in pairs}) == len(pairs)
    assert all(got[line_id - 1][0] == sent[payout_id - 1][0] for line_id, payout_id, _ in pairs)
    random.shuffle(payouts)
    random.shuffle(bank)
    assert banked(payouts, bank) == pairs


def test_a_client_on_account_pays_by_naming_the_order() -> None:
    orders = frame([order(1, 700, channel="b2b"), order(2, 700, channel="b2b"), order(3, 700)], ORDERS)
    bank = frame([booked(1, 700, "Invoice 1001"), booked(2, 699, "1002"), booked(3, 700, "1003")], BANK_ROWS)
    pools = open_pools(orders, NOTHING)
    matches = match_customers(bank, orders, pools, NOTHING, frozenset({"b2b"}))
    assert matches.select("bank_line_id", "order_id").rows() == [(1, 1)]
    assert matches.columns == list(BANKED)
    assert match_lines(frame([], LINES), orders, NOTHING, PROCESSORS, RATES, LIMITS).columns == list(MATCHES)
