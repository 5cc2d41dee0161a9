"""Reconciling: what the store holds is matched, what has arrived is booked, what is left is listed.

Belongs here: the order of these steps over the store. Does not belong here: the rules (`payouts/`), reading files, purchases.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from assets.finance.accounts import Chart, head_of
from assets.finance.booking import book, load_chart
from assets.finance.fx import daily_ratios
from assets.finance.payouts.banked import match_bank, match_customers, reconciliation
from assets.finance.payouts.events import KINDS, customer_events, match_events, payout_events, pooled_events
from assets.finance.payouts.limits import ReconciliationLimits, load_limits
from assets.finance.payouts.matching import POOLS, match_lines, open_lines, open_pools
from assets.finance.payouts.unmatched import unmatched_items
from assets.finance.rules import Event, posting_rules
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.ledger import find_entry, reverse_entry
from resources.store.rates import read_rates
from resources.store.reconciliation import (
    ReconciliationError,
    booked_keys,
    read_bank_lines,
    read_matches,
    read_order_dues,
    read_payouts,
    read_settlement_lines,
    times_undone,
    unmatch,
    write_matches,
)
from resources.store.vocabulary import LINE_KINDS

if TYPE_CHECKING:
    from sqlalchemy import Connection

POOLED_SOURCES = ("paypal",)


@dataclass(frozen=True)
class State:
    """Everything that is reconciled, as the store has it."""

    lines: pl.DataFrame
    payouts: pl.DataFrame
    bank: pl.DataFrame
    orders: pl.DataFrame
    active: pl.DataFrame
    processors: dict[str, str]
    on_account: frozenset[str]
    chart: Chart
    limits: ReconciliationLimits
    today: date

    @property
    def card_orders(self) -> pl.DataFrame:
        """Orders that a processor clears; those on account are paid by bank."""
        return self.orders.filter(~pl.col("channel").is_in(list(self.on_account)))

    @property
    def report(self) -> pl.DataFrame:
        return reconciliation(self.payouts, self.lines, self.bank, self.active, self.limits.matching, self.today)

    @property
    def unmatched(self) -> pl.DataFrame:
        return unmatched_items(
            self.lines,
            self.orders,
            self.report,
            self.bank,
            self.active,
            self.processors,
            self.on_account,
            self.today,
        )


@dataclass(frozen=True)
class Reconciled:
    """What a run did: matches and entries that are new. `left` counts what has no counterpart."""

    lines: int
    payouts: int
    customers: int
    entries: int
    left: int


def read_state(books: BrandStore, connection: "Connection", brand: int, today: date | None = None) -> State:
    """Everything that the store holds of it."""
    home = books.settings.home
    chart = load_chart(home)
    unposted = tuple(kind for kind in LINE_KINDS if kind not in posting_rules().order_lines)
    orders = read_order_dues(connection, brand, unposted)
    clearing = chart.of_role("clearing").code
    accounts = {channel: chart.paid_through(channel) for channel in orders["channel"].unique().sort()}
    return State(
        lines=read_settlement_lines(connection, brand),
        payouts=read_payouts(connection, brand),
        bank=read_bank_lines(connection, brand),
        orders=orders,
        active=read_matches(connection, brand),
        processors={c: code.partition(".")[2] for c, code in accounts.items() if head_of(code) == clearing},
        on_account=chart.on_account,
        chart=chart,
        limits=load_limits(home),
        today=today or datetime.now(UTC).date(),
    )


def reconcile(books: BrandStore, actor: str, today: date | None = None) -> Reconciled:
    """Match what can be matched and book what has arrived, in one transaction. Again without news it changes nothing."""
    with books.write() as (connection, brand):
        state = read_state(books, connection, brand, today)
        lines = _match(books, connection, brand, state, actor)
        state = _seen_again(connection, brand, state)
        banked = match_bank(state.payouts, state.lines, state.bank, state.active, state.limits.matching)
        write_matches(connection, brand, banked, actor)
        state = _seen_again(connection, brand, state)
        pools = open_pools(state.orders, state.active)
        customers = match_customers(state.bank, state.orders, pools, state.active, state.on_account)
        write_matches(connection, brand, customers, actor)
        state = _seen_again(connection, brand, state)
        entries = _book(books, connection, brand, state)
        done = Reconciled(lines, banked.height, customers.height, entries, state.unmatched.height)
        if lines or banked.height or customers.height or entries:
            details = {"lines": lines, "payouts": banked.height, "customers": customers.height, "entries": entries}
            record(connection, brand, "finance.reconcile", "run", details, actor=actor)
    return done


def match_by_hand(books: BrandStore, line: int, order: str, channel: str | None, reason: str, actor: str) -> str:
    """Match a settlement line with an order that no rule would take. Returns what was matched, in words.

    Raises ReconciliationError where there is no such line or order, where one is matched, or where the line is more than what
    is open of the order.
    """
    with books.write() as (connection, brand):
        state = read_state(books, connection, brand)
        row = _line_of(state, line)
        wanted = state.card_orders.filter(pl.col("number") == order)
        if channel is not None:
            wanted = wanted.filter(pl.col("channel") == channel)
        if wanted["order_id"].n_unique() != 1:
            found = ", ".join(wanted["channel"].unique().sort()) or "no channel"
            raise ReconciliationError(
                f"order {order!r} is in {found}: give the number of one order, and --channel if need be"
            )
        match = _by_hand(row, wanted, open_pools(wanted, state.active))
        write_matches(connection, brand, match, actor, reason)
        _book(books, connection, brand, read_state(books, connection, brand))
        record(connection, brand, "finance.match", f"line {line}", {"order": order, "reason": reason}, actor=actor)
    return f"line {line} is matched with order {order}"


def match_payout_by_hand(books: BrandStore, bank_line: int, payout: int, reason: str, actor: str) -> str:
    """Match a bank line with a payout. Of another amount, the difference is named and nothing is booked."""
    with books.write() as (connection, brand):
        state = read_state(books, connection, brand)
        lines = state.bank.filter(pl.col("bank_line_id") == bank_line)
        payouts = state.payouts.filter(pl.col("payout_id") == payout)
        if lines.is_empty() or payouts.is_empty():
            raise ReconciliationError(f"there is no bank line {bank_line} or no payout {payout}: see `reconcile list`")
        if lines["currency"][0] != payouts["currency"][0]:
            raise ReconciliationError(f"bank line {bank_line} is in {lines['currency'][0]}, the payout is not")
        match = lines.select(
            "bank_line_id", "amount_minor", "currency", payout_id=pl.lit(payout, pl.Int64), rule=pl.lit("by_hand")
        )
        write_matches(connection, brand, match, actor, reason)
        _book(books, connection, brand, read_state(books, connection, brand))
        record(
            connection,
            brand,
            "finance.match",
            f"bank line {bank_line}",
            {"payout": payout, "reason": reason},
            actor=actor,
        )
    return f"bank line {bank_line} is matched with payout {payout}"


def take_back(books: BrandStore, match: int, reason: str, actor: str, today: date | None = None) -> str:
    """Take a match back, and what was booked because of it. Raises ReconciliationError where it does not stand."""
    with books.write() as (connection, brand):
        state = read_state(books, connection, brand, today)
        keys = [f"clearing:{match}", f"customer:{match}"]
        of_payout = state.active.filter(pl.col("match_id") == match).join(state.payouts, on="payout_id")
        undone = times_undone(connection, brand)
        keys += [_again(_payout_key(row), undone.get(row["payout_id"], 0)) for row in of_payout.to_dicts()]
        number = unmatch(connection, brand, match, actor, reason)
        for key in keys:
            entry = find_entry(connection, brand, key)
            if entry is not None:
                reverse_entry(
                    connection,
                    brand,
                    entry,
                    key=f"unmatch:{number}:{key}",
                    day=state.today,
                    description="Match taken back",
                )
        record(connection, brand, "finance.unmatch", f"match {match}", {"reason": reason}, actor=actor)
    return f"match {match} is taken back"


def _seen_again(connection: "Connection", brand: int, state: State) -> State:
    return replace(state, active=read_matches(connection, brand))


def _match(books: BrandStore, connection: "Connection", brand: int, state: State, actor: str) -> int:
    current = books.settings.current
    ratios = daily_ratios(read_rates(connection, brand), current.base_currency, current.fx_carry_days)
    found = match_lines(state.lines, state.card_orders, state.active, state.processors, ratios, state.limits.matching)
    write_matches(connection, brand, found, actor)
    return found.height


def _book(books: BrandStore, connection: "Connection", brand: int, state: State) -> int:
    """Book what was not booked yet. Returns how many entries that took."""
    known = booked_keys(connection, brand, KINDS)
    fresh = [event for event in _events(connection, brand, state) if event.key not in known]
    if fresh:
        current = books.settings.current
        carry = current.fx_carry_days
        book(connection, brand, current.base_currency, fresh, chart=state.chart, carry_days=carry)
    return len(fresh)


def _events(connection: "Connection", brand: int, state: State) -> Iterator[Event]:
    pooled = pl.col("source").is_in(POOLED_SOURCES)
    arrived = state.active.filter(pl.col("payout_id").is_not_null()).join(state.bank, on="bank_line_id")
    banks = dict(arrived.select("payout_id", "account").iter_rows())
    times = times_undone(connection, brand)
    undone = {
        _payout_key(row): times[row["payout_id"]] for row in state.payouts.to_dicts() if row["payout_id"] in times
    }
    for event in payout_events(state.report, state.lines.filter(~pooled | (pl.col("kind") == "payout")), banks):
        yield _renamed(event, undone.get(event.key, 0))
    yield from pooled_events(state.lines.filter(pooled))
    orders = state.orders.select("order_id", "number", "channel").unique("order_id")
    matched = state.active.join(orders, on="order_id")
    of_lines = state.lines.select("line_id", "processor", day="occurred_on")
    yield from match_events(matched.join(of_lines, on="line_id"), state.chart)
    of_bank = state.bank.select("bank_line_id", "account", day="booked_on")
    yield from customer_events(matched.join(of_bank, on="bank_line_id"))


def _payout_key(row: dict[str, object]) -> str:
    return f"payout:{row['processor']}:{row['payout_ref']}:{row['currency']}"


def _again(key: str, times: int) -> str:
    return f"{key}:{times}" if times else key


def _renamed(event: Event, times: int) -> Event:
    return replace(event, key=_again(event.key, times)) if times else event


def _line_of(state: State, line: int) -> pl.DataFrame:
    rows = state.lines.filter(pl.col("line_id") == line)
    if rows.is_empty():
        raise ReconciliationError(f"there is no settlement line {line}: see `luxauto finance reconcile list`")
    # What is no payment by its kind is one by the word of who matches it.
    paid = pl.when(pl.col("gross_minor") > 0).then(pl.lit("charge")).otherwise(pl.lit("refund"))
    known = pl.col("kind").is_in(list(POOLS))
    pending = open_lines(rows.with_columns(pl.when(known).then("kind").otherwise(paid).alias("kind")), state.active)
    if pending.is_empty():
        raise ReconciliationError(f"line {line} is matched already: take that match back first (`reconcile unmatch`)")
    return pending


def _by_hand(row: pl.DataFrame, orders: pl.DataFrame, pools: pl.DataFrame) -> pl.DataFrame:
    number = orders["number"][0]
    candidates: Sequence[dict[str, object]] = row.join(pools, on="pool").to_dicts()
    open_ = [c for c in candidates if isinstance(c["open_minor"], int) and c["open_minor"] > 0]
    if not open_:
        raise ReconciliationError(f"nothing of order {number} is open: was its file taken in whole?")
    one = next((c for c in open_ if c["order_currency"] == c["currency"]), None)
    shown = next((c for c in open_ if c["order_currency"] == c["shown_currency"]), None)
    chosen = one or shown or open_[0]
    takes = chosen["size"] if one else chosen["shown"] if shown else chosen["open_minor"]
    assert isinstance(takes, int) and isinstance(chosen["open_minor"], int)
    if takes > chosen["open_minor"]:
        more = takes - chosen["open_minor"]
        raise ReconciliationError(
            f"the line is {more} minor units of {chosen['order_currency']} more than what is open of order {number}"
        )
    return row.select(
        "line_id",
        pl.lit(chosen["order_id"], pl.Int64).alias("order_id"),
        "pool",
        pl.lit("by_hand").alias("rule"),
        pl.col("gross_minor").alias("amount_minor"),
        "currency",
        pl.lit(takes, pl.Int64).alias("order_amount_minor"),
        pl.lit(str(chosen["order_currency"])).alias("order_currency"),
    )
