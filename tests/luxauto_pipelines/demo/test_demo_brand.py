"""The demo brand: its files are what they claim to be, and its truth is true.

What belongs here: reading the written files with other means than the ones that made them, and comparing.
What does not: whether the pipeline's own reports find the truth, which each report's tests ask.
"""

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from luxauto_pipelines.demo.files import DemoFiles, write_demo
from luxauto_pipelines.demo.maison import found_maison
from luxauto_pipelines.demo.trade import simulate

UNTIL = date(2026, 10, 31)
FIRST = date(2024, 11, 1)
GOODS = pl.col("line_type") == "goods"
SALES = GOODS & (pl.col("unit_price") > 0)


@dataclass(frozen=True)
class Brand:
    """The demo brand as read back from its files; amounts are exact decimals, instants UTC."""

    files: DemoFiles
    catalog: pl.DataFrame
    orders: pl.DataFrame
    stock: pl.DataFrame
    rates: pl.DataFrame
    truth: dict[str, Any]
    cpu_seconds: float

    def sums(self, *by: str) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
        """Gross sales and returns of goods sold, by columns."""
        found = (
            self.orders.filter(SALES)
            .group_by(*by)
            .agg(
                pl.col("amount").filter(pl.col("quantity") > 0).sum().alias("gross"),
                (-pl.col("amount").filter(pl.col("quantity") < 0).sum()).alias("returns"),
            )
        )
        return {row[:-2]: row[-2:] for row in found.rows()}

    def movements(self) -> pl.DataFrame:
        """Every movement of stock, those of orders included: instant, sku, location, quantity."""
        by_orders = self.orders.filter(GOODS).select(
            "instant", "sku", pl.lit("atelier-paris").alias("location"), -pl.col("quantity").cast(pl.Int64)
        )
        return pl.concat([self.stock.select("instant", "sku", "location", "quantity"), by_orders])


@pytest.fixture(scope="module")
def brand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brand]:
    started = time.process_time()
    files = write_demo(tmp_path_factory.mktemp("demo") / "new" / "folder", until=UNTIL)
    spent = time.process_time() - started
    instant = pl.col("occurred_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%z", time_zone="UTC").alias("instant")
    orders = pl.read_csv(gzip.decompress(files.orders.read_bytes()), infer_schema=False).with_columns(
        instant,
        pl.col("occurred_at").str.head(10).str.to_date().alias("day"),
        pl.col("occurred_at").str.head(7).alias("month"),
        pl.col("quantity").cast(pl.Decimal(18, 0)),
        pl.col("unit_price").alias("price_text"),
        pl.col("unit_price").cast(pl.Decimal(18, 2)),
    )
    yield Brand(
        files=files,
        catalog=pl.read_csv(files.catalog, infer_schema=False),
        orders=orders.with_columns((pl.col("quantity") * pl.col("unit_price")).alias("amount")),
        stock=pl.read_csv(files.stock, schema_overrides={"quantity": pl.Int64}).with_columns(instant),
        rates=pl.read_csv(files.rates, schema_overrides={"rate": pl.String}).with_columns(pl.col("date").str.to_date()),
        truth=json.loads(files.truth.read_text()),
        cpu_seconds=spent,
    )


# --- the files ----------------------------------------------------------------------------------------------


def test_the_same_seed_and_day_write_the_same_bytes(brand: Brand, tmp_path: Path):
    again = write_demo(tmp_path, seed=7, until=UNTIL)
    for name in ("catalog", "orders", "stock", "rates", "truth"):
        assert getattr(again, name).read_bytes() == getattr(brand.files, name).read_bytes(), name


def test_another_seed_is_another_brand():
    one, other = (simulate(found_maison(seed, UNTIL), seed) for seed in (7, 8))
    assert one.lines != other.lines
    assert one.stock != other.stock


def test_it_takes_less_than_five_seconds(brand: Brand):
    assert brand.cpu_seconds < 5


def test_there_are_as_many_orders_and_lines_as_promised(brand: Brand):
    counts = brand.truth["counts"]
    numbers = brand.orders.group_by("order_number").agg(pl.col("original_order").first())
    assert counts["orders"] == numbers["original_order"].null_count()
    assert counts["orders"] + counts["return_orders"] == len(numbers)
    assert 12_000 <= len(numbers) <= 18_000
    assert counts["lines"] == len(brand.orders)
    assert 20_000 <= len(brand.orders) <= 30_000
    assert counts["lines_by_type"] == dict(Counter(brand.orders["line_type"]))
    assert counts["customers"] == brand.orders["customer_id"].drop_nulls().n_unique()


def test_the_two_years_end_with_the_day_asked_for(brand: Brand):
    assert (brand.truth["first_day"], brand.truth["last_day"]) == (FIRST.isoformat(), UNTIL.isoformat())
    assert (brand.orders["day"].min(), brand.orders["day"].max()) == (FIRST, UNTIL)
    assert found_maison(7, date(2024, 2, 29)).first_day == date(2022, 3, 1)


def test_a_day_is_the_same_day_in_utc_in_paris_and_at_the_place_of_sale(brand: Brand):
    paris = ZoneInfo("Europe/Paris")
    for written in [*brand.orders["occurred_at"].unique(), *brand.stock["occurred_at"].unique()]:
        moment = datetime.fromisoformat(written)
        assert moment.date() == moment.astimezone(UTC).date() == moment.astimezone(paris).date(), written


def test_a_catalogue_of_a_house_is_complete_and_priced_above_its_costs(brand: Brand):
    catalog = brand.catalog
    assert 70 <= len(catalog) <= 90
    assert catalog["sku"].n_unique() == len(catalog)
    assert catalog["sku"].to_list() == brand.truth["skus"]
    assert set(catalog["category"]) == {"bags", "ready-to-wear", "shoes", "scarves"}
    assert set(catalog["currency"]) == {"EUR"}
    assert catalog["reorder_point"].null_count() == len(catalog)
    shares = catalog["cost"].cast(pl.Float64) / catalog["retail_price"].cast(pl.Float64)
    assert shares.is_between(0.1, 0.4).all()


def test_four_channels_and_five_currencies_trade_every_quarter(brand: Brand):
    by_quarter = brand.orders.filter(SALES).group_by(pl.col("day").dt.truncate("1q")).agg("channel", "currency")
    assert len(by_quarter) == 9
    for _, channels, currencies in by_quarter.rows():
        assert set(channels) == {"online_store", "physical_store", "marketplace", "wholesale"}
        assert set(currencies) == {"EUR", "GBP", "USD", "JPY", "CHF"}


def test_prices_have_the_decimals_of_their_currency(brand: Brand):
    for currency, price in brand.orders.select("currency", "price_text").unique().rows():
        decimals = len(price.partition(".")[2])
        assert decimals == (0 if currency == "JPY" else 2), (currency, price)


def test_lines_have_the_signs_that_are_documented(brand: Brand):
    sale = pl.col("original_order").is_null()
    lines = brand.orders
    assert (lines.filter(sale)["quantity"] > 0).all()
    assert (lines.filter(~sale)["quantity"] < 0).all()
    negative = lines.filter(pl.col("unit_price") < 0)
    assert set(negative["line_type"]) == {"discount", "fee"}
    assert set(lines.filter(pl.col("line_type").is_in(["discount", "fee"]) & sale)["quantity"]) == {1}
    assert set(lines.filter(pl.col("line_type") == "fee")["channel"]) == {"marketplace"}
    assert set(lines.filter(~sale)["line_type"]) == {"goods", "discount", "tax"}
    assert set(lines["line_type"]) == {"goods", "shipping", "discount", "tax", "gift_card", "fee"}


def test_only_goods_name_a_sku_and_every_sku_is_in_the_catalogue(brand: Brand):
    named = brand.orders.filter(pl.col("sku").is_not_null())
    assert set(named["line_type"]) == {"goods"}
    assert brand.orders.filter(GOODS)["sku"].null_count() == 0
    assert set(named["sku"]) | set(brand.stock["sku"]) == set(brand.catalog["sku"])


def test_all_lines_of_an_order_have_the_same_head(brand: Brand):
    head = ["occurred_at", "currency", "channel", "country", "customer_id", "original_order"]
    assert len(brand.orders.unique(["order_number", *head])) == brand.orders["order_number"].n_unique()


def test_addresses_are_of_domains_that_nobody_can_own(brand: Brand):
    domains = set(brand.orders["customer_email"].drop_nulls().str.split("@").list.last())
    assert all(domain.endswith(("example.com", "example.org")) for domain in domains)
    assert brand.orders["customer_email"].drop_nulls().str.contains(r"^[ -~]+$").all()


def test_customers_come_back_but_none_is_the_whole_house(brand: Brand):
    sales = brand.orders.filter(pl.col("original_order").is_null() & (pl.col("channel") != "wholesale"))
    visits = sales.group_by("customer_id").agg(pl.col("order_number").n_unique())
    visits = visits.filter(pl.col("customer_id").str.starts_with("C-"))["order_number"]
    assert 0.2 * len(visits) < (visits > 1).sum() < 0.7 * len(visits)
    assert max(visits.to_list()) < 40


def test_rates_are_of_working_days_and_move_like_rates(brand: Brand):
    rates = brand.rates.with_columns(pl.col("rate").cast(pl.Float64)).sort("quote", "date")
    assert rates["date"].dt.weekday().max() == 5
    assert min(rates["date"].to_list()) < FIRST
    assert set(rates["quote"]) == {"GBP", "USD", "JPY", "CHF"}
    steps = rates.select((pl.col("rate") / pl.col("rate").shift(1) - 1).abs().over("quote"))["rate"].drop_nulls()
    assert 0.001 * len(steps) < sum(steps.to_list()) < 0.01 * len(steps)
    assert max(steps.to_list()) < 0.04


# --- sales --------------------------------------------------------------------------------------------------


def test_monthly_sales_by_currency_are_the_sums_of_the_lines(brand: Brand):
    told = {
        (row["month"], currency): (Decimal(sums["gross_sales"]), Decimal(sums["returns"]))
        for row in brand.truth["monthly"]
        for currency, sums in row["by_currency"].items()
    }
    assert told == brand.sums("month", "currency")


def test_monthly_sales_by_channel_are_the_sums_of_the_lines(brand: Brand):
    told = {
        (row["month"], channel, currency): (Decimal(sums["gross_sales"]), Decimal(sums["returns"]))
        for row in brand.truth["monthly"]
        for channel, by_currency in row["by_channel"].items()
        for currency, sums in by_currency.items()
    }
    assert told == brand.sums("month", "channel", "currency")


def test_net_revenue_is_gross_less_returns_in_the_currencys_decimals(brand: Brand):
    for row in brand.truth["monthly"]:
        for currency, sums in row["by_currency"].items():
            assert Decimal(sums["net_revenue"]) == Decimal(sums["gross_sales"]) - Decimal(sums["returns"])
            assert all(("." in amount) == (currency != "JPY") for amount in sums.values())


def test_revenue_in_euros_is_at_the_rate_of_the_day_or_the_last_before_it(brand: Brand):
    quoted = brand.rates.select("date", pl.col("quote").alias("currency"), pl.col("rate").cast(pl.Float64))
    sold = (
        brand.orders.filter(SALES)
        .sort("day")
        .join_asof(quoted.sort("date"), left_on="day", right_on="date", by="currency", check_sortedness=False)
    )
    rate = pl.when(pl.col("currency") == "EUR").then(1.0).otherwise(pl.col("rate"))
    in_eur = sold.group_by("month", "channel").agg((pl.col("amount").cast(pl.Float64) / rate).sum())
    found = {(month, channel): value for month, channel, value in in_eur.rows()}
    for row in brand.truth["monthly"]:
        total = 0.0
        for channel, told in row["net_revenue_eur_by_channel"].items():
            assert float(told) == pytest.approx(found[row["month"], channel], abs=0.006)
            total += found[row["month"], channel]
        assert float(row["net_revenue_eur"]) == pytest.approx(total, abs=0.006)


def test_other_line_types_and_counts_are_the_sums_of_the_lines(brand: Brand):
    others = brand.orders.filter(~GOODS).group_by("month", "line_type", "currency").agg(pl.col("amount").sum())
    told = {
        (row["month"], line_type, currency): Decimal(amount)
        for row in brand.truth["monthly"]
        for line_type, by_currency in row["other_line_types"].items()
        for currency, amount in by_currency.items()
    }
    assert told == {tuple(key): amount for *key, amount in others.rows()}
    sales = brand.orders.filter(pl.col("original_order").is_null())
    orders = dict(sales.group_by("month").agg(pl.col("order_number").n_unique()).rows())
    units = dict(
        brand.orders.filter(SALES & (pl.col("quantity") > 0)).group_by("month").agg(pl.col("quantity").sum()).rows()
    )
    assert {row["month"]: (row["orders"], row["units_sold"]) for row in brand.truth["monthly"]} == {
        month: (orders[month], int(units[month])) for month in orders
    }


def test_best_sellers_are_the_skus_with_most_units(brand: Brand):
    sold = (
        brand.orders.filter(SALES & (pl.col("quantity") > 0))
        .group_by("sku")
        .agg(pl.col("quantity").sum().cast(pl.Int64))
    )
    best = sold.sort(pl.col("quantity"), "sku", descending=[True, False]).head(10)
    assert [(row["sku"], row["units_sold"]) for row in brand.truth["best_sellers"]] == best.rows()


def test_return_rates_are_those_of_the_lines_and_higher_for_clothes_and_shoes(brand: Brand):
    joined = brand.orders.filter(SALES).join(brand.catalog.select("sku", "category"), on="sku")
    realised = {}
    for category, told in brand.truth["return_rates"]["by_category"].items():
        units = [int(n) for n in joined.filter(pl.col("category") == category)["quantity"]]
        realised[category] = sum(-n for n in units if n < 0) / sum(n for n in units if n > 0)
        assert float(told["realised"]) == pytest.approx(realised[category], abs=1e-4)
    assert min(realised["ready-to-wear"], realised["shoes"]) > 2 * max(realised["bags"], realised["scarves"])


def test_goods_come_back_to_their_order_within_5_to_60_days(brand: Brand):
    goods = brand.orders.filter(GOODS)
    back = goods.filter(pl.col("original_order").is_not_null()).join(
        goods, left_on=["original_order", "sku"], right_on=["order_number", "sku"], how="left", suffix="_sold"
    )
    assert back["day_sold"].null_count() == 0
    assert (back["day"] - back["day_sold"]).dt.total_days().is_between(5, 60).all()
    assert (back["currency"] == back["currency_sold"]).all()


def test_the_year_has_a_christmas_a_quiet_august_and_two_sales(brand: Brand):
    units = {row["month"]: row["units_sold"] for row in brand.truth["monthly"]}
    of_year = {month: units[f"2025-{month:02d}"] for month in range(1, 13)}
    assert max(of_year, key=lambda month: of_year[month]) == 12
    assert min(of_year, key=lambda month: of_year[month]) == 8
    discounts = brand.orders.filter((pl.col("line_type") == "discount") & (pl.col("quantity") > 0))
    assert set(discounts["day"].dt.month()) == {1, 7}


def test_boutiques_are_closed_on_sundays_and_wholesale_at_weekends(brand: Brand):
    sales = brand.orders.filter(pl.col("original_order").is_null())
    days = {channel: set(rows["day"].dt.weekday()) for (channel,), rows in sales.group_by("channel")}
    assert days["physical_store"] == {1, 2, 3, 4, 5, 6}
    assert days["wholesale"] == {1, 2, 3, 4, 5}
    assert days["online_store"] == days["marketplace"] == {1, 2, 3, 4, 5, 6, 7}


def test_nothing_is_sold_before_its_launch_and_a_launch_is_a_spike(brand: Brand):
    sales = brand.orders.filter(SALES & (pl.col("quantity") > 0) & (pl.col("channel") != "wholesale"))
    assert len(brand.truth["launches"]) >= 5
    fortnights: Counter[int] = Counter()
    for launch in brand.truth["launches"]:
        on = date.fromisoformat(launch["on"])
        ages = (sales.filter(pl.col("sku").is_in(launch["skus"]))["day"] - on).dt.total_days().to_list()
        assert min(ages) >= 0
        fortnights.update(age // 14 for age in ages)
    assert fortnights[0] > 1.6 * (fortnights[3] + fortnights[4] + fortnights[5]) / 3


def test_prices_rise_on_the_days_told_and_on_no_other(brand: Brand):
    changed = {date.fromisoformat(change["on"]) for change in brand.truth["price_changes"]}
    retail = brand.orders.filter(SALES & (pl.col("channel") != "wholesale") & pl.col("original_order").is_null())
    for _, rows in retail.filter(pl.col("currency") == "EUR").sort("instant").group_by("sku", maintain_order=True):
        steps = rows.with_columns(pl.col("unit_price").diff().alias("step"), pl.col("day").shift(1).alias("since"))
        for since, day, step in steps.filter(pl.col("step") != 0).select("since", "day", "step").rows():
            assert step > 0
            assert any(since < on <= day for on in changed), (since, day)
    assert len(changed) == 2


def test_samples_and_gifts_are_free_and_are_no_sales(brand: Brand):
    free = brand.orders.filter(GOODS & (pl.col("unit_price") == 0))
    assert set(free["description"]) == {"Press sample", "Gift with purchase"}
    assert brand.truth["counts"]["units_given_away"] == int(free["quantity"].sum()) >= 20


# --- stock --------------------------------------------------------------------------------------------------


def test_closing_stock_is_the_sum_of_all_movements(brand: Brand):
    closing = dict(brand.movements().group_by("sku").agg(pl.col("quantity").sum()).rows())
    assert closing == brand.truth["closing_stock"]["by_sku"]
    by_place = brand.movements().group_by("location", "sku").agg(pl.col("quantity").sum())
    told = brand.truth["closing_stock"]["by_location"]
    assert {(location, sku): level for location, sku, level in by_place.rows() if level} == {
        (location, sku): level for location, levels in told.items() for sku, level in levels.items()
    }


def test_stock_is_never_negative_at_any_moment_in_any_place(brand: Brand):
    # Of movements in the same second the worst order counts: what goes out first.
    replay = brand.movements().sort("instant", "quantity")
    levels = replay.select(pl.col("quantity").cum_sum().over("sku", "location").alias("level"))
    assert min(levels["level"].to_list()) >= 0


def test_transfers_are_two_rows_that_cancel_out(brand: Brand):
    moved = brand.stock.filter(pl.col("kind") == "transfer").group_by("reference", "sku").agg("quantity", "location")
    assert len(moved) > 50
    for _, _, quantities, locations in moved.rows():
        assert sorted(quantities) == [-1, 1]
        assert set(locations) == {"atelier-paris", "boutique-saint-honore"}
    assert set(brand.stock["kind"]) == {"opening", "receipt", "transfer", "adjustment", "write_off"}


def test_the_planted_stock_out_is_an_empty_shelf_without_sales(brand: Brand):
    out = brand.truth["stock_out"]
    first, last = date.fromisoformat(out["from"]), date.fromisoformat(out["to"])
    moves = brand.movements().filter(pl.col("sku") == out["sku"]).with_columns(pl.col("instant").dt.date().alias("day"))
    assert moves.filter(pl.col("day") < first)["quantity"].sum() == 0
    assert moves.filter(pl.col("day").is_between(first, last)).is_empty()
    sold = brand.orders.filter(SALES & (pl.col("sku") == out["sku"]) & (pl.col("quantity") > 0))["day"]
    assert sold.is_between(first - timedelta(28), first - timedelta(1)).sum() > 0
    assert sold.is_between(last + timedelta(1), last + timedelta(28)).sum() > 0
    assert out["lost_units"] > 5
    assert out["lost_weeks"] == len(out["lost_week_mondays"]) == 6
    for monday in map(date.fromisoformat, out["lost_week_mondays"]):
        assert monday.weekday() == 0
        assert first <= monday <= last - timedelta(6)


def test_no_other_shelf_is_empty_for_long(brand: Brand):
    assert sum(brand.truth["other_empty_days"].values()) < 60


def test_the_skus_left_low_cannot_last_a_lead_time_and_the_others_can(brand: Brand):
    recent = brand.orders.filter(SALES & (pl.col("quantity") > 0) & (pl.col("day") > UNTIL - timedelta(28)))
    pace = dict(recent.group_by("sku").agg(pl.col("quantity").sum().cast(pl.Int64)).rows())
    lead_times = {sku: int(days) for sku, days in brand.catalog.select("sku", "lead_time_days").rows()}
    on_hand = brand.truth["closing_stock"]["by_sku"]
    low = {sku for sku in on_hand if on_hand[sku] < pace.get(sku, 0) * lead_times[sku] / 28}
    planted = {row["sku"]: row for row in brand.truth["projected_stockouts"]}
    assert 2 <= len(planted) <= 3
    assert planted.keys() <= low
    assert len(low - planted.keys()) <= 3
    for sku, row in planted.items():
        assert (row["on_hand"], row["units_sold_last_28_days"]) == (on_hand[sku], pace[sku])
        assert row["lead_time_days"] == lead_times[sku]


# --- frauds -------------------------------------------------------------------------------------------------


def fraud_orders(brand: Brand, kind: str) -> pl.DataFrame:
    (fraud,) = (fraud for fraud in brand.truth["frauds"] if fraud["kind"] == kind)
    lines = brand.orders.filter(pl.col("order_number").is_in(fraud["order_numbers"]))
    assert set(lines["order_number"]) == set(fraud["order_numbers"])
    assert set(lines["customer_id"]) == {fraud["customer_id"]}
    assert len(brand.orders.filter(pl.col("customer_id") == fraud["customer_id"])) == len(lines)
    return lines


def test_three_kinds_of_fraud_are_planted(brand: Brand):
    assert [fraud["kind"] for fraud in brand.truth["frauds"]] == [
        "card_testing",
        "abnormal_order",
        "refund_abuse",
    ]


def test_card_testing_is_a_burst_of_tiny_orders_such_as_no_other_customer_makes(brand: Brand):
    burst = fraud_orders(brand, "card_testing")
    assert burst["order_number"].n_unique() == 22
    instants = burst["instant"].to_list()
    assert max(instants) - min(instants) < timedelta(hours=1)
    assert max(burst.filter(GOODS)["amount"].to_list()) < 200
    others = brand.orders.filter(~pl.col("order_number").is_in(burst["order_number"].implode()))
    a_day = others.filter(pl.col("customer_id").is_not_null()).group_by("customer_id", "day")
    assert max(a_day.agg(pl.col("order_number").n_unique())["order_number"].to_list()) <= 4


def test_the_abnormal_order_is_the_largest_at_retail_and_alone_in_its_country(brand: Brand):
    order = fraud_orders(brand, "abnormal_order")
    assert order.filter(GOODS)["quantity"].to_list() == [12]
    (country,) = set(order["country"])
    assert set(brand.orders.filter(pl.col("country") == country)["order_number"]) == set(order["order_number"])
    retail = brand.orders.filter(SALES & (pl.col("channel") != "wholesale"))
    assert retail.sort("quantity")["order_number"][-1] == order["order_number"][0]


def test_refund_abuse_is_a_customer_who_returns_nearly_everything(brand: Brand):
    abuse = fraud_orders(brand, "refund_abuse")
    assert len(abuse.filter(SALES & (pl.col("quantity") > 0))) == 10
    assert len(abuse.filter(SALES & (pl.col("quantity") < 0))) == 9
    units = (
        brand.orders.filter(SALES & pl.col("customer_id").is_not_null())
        .group_by("customer_id")
        .agg(
            pl.col("quantity").filter(pl.col("quantity") > 0).sum().cast(pl.Int64).alias("bought"),
            -pl.col("quantity").filter(pl.col("quantity") < 0).sum().cast(pl.Int64).alias("returned"),
        )
    )
    suspects = units.filter((pl.col("bought") >= 8) & (pl.col("returned") >= 0.8 * pl.col("bought")))
    assert set(suspects["customer_id"]) == set(abuse["customer_id"])


def test_one_refund_alone_exceeds_what_was_paid_for_its_order(brand: Brand):
    paid = brand.orders.with_columns(pl.coalesce("original_order", "order_number").alias("deal"))
    paid = paid.filter(pl.col("line_type").is_in(["goods", "discount", "tax"]))
    balance = paid.group_by("deal").agg(pl.col("amount").sum())
    overpaid = balance.filter(pl.col("amount") < 0)["deal"].to_list()
    assert len(overpaid) == 1
    assert overpaid[0] in set(fraud_orders(brand, "refund_abuse")["order_number"])
