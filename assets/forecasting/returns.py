"""Which sale a return belongs to: goods that came back, told by the day they were sold.

Here: the rule that links a return to its sale, and which orders were taken back whole before anything happened. Not here: what
is demand (`demand`), and money given back.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

RETURN_LINKS: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "returned_on": pl.Date(),
    "sold_on": pl.Date(),
    "sale_order": pl.Int64(),
    "quantity": pl.Int64(),
    "link": pl.String(),
}
BY_ORDER, BY_ORIGINAL, BY_CUSTOMER = "order", "original", "customer"
RETURN_WINDOW = timedelta(days=180)
CANCELLED_WITHIN = timedelta(days=2)
WEEK = timedelta(days=7)


def link_returns(goods: pl.DataFrame) -> pl.DataFrame:
    """Every returned unit with the sale that it undoes, as far as that is known (`RETURN_LINKS`), in the order of the returns.

    `goods` has a row a line: sku, day, quantity (negative for a return), order (Int64, the same for the lines of an order), and
    where they are known original_order and order_number (text), and customer. A return is held against, in this order:

    - "order": a line of the same SKU in the same order, as channels write refunds;
    - "original": the order that the return names as its original;
    - "customer": the same customer's latest purchase of the SKU in the 180 days before. This is inferred, and marked so.

    Each sold unit comes back once at most, so a return may be split over several sales. What is left has `sold_on`,
    `sale_order` and `link` null: its sale is unknown, as when it lies before the panel. Returns are taken in the order of
    their days, so that a later one never changes which sale an earlier one undid.
    """
    returns = _in_time_order(goods.filter(pl.col("quantity") < 0))
    if returns.is_empty():
        return pl.DataFrame(schema=RETURN_LINKS)
    sales = _in_time_order(
        goods.filter(pl.col("quantity") > 0).join(returns.select("sku").unique(), on="sku", how="semi")
    )
    shelves = _Shelves(sales)
    rows = [row for line in returns.iter_rows(named=True) for row in shelves.take_back(line)]
    return pl.DataFrame(rows, schema=RETURN_LINKS, orient="row")


def returned_by_sale_week(links: pl.DataFrame) -> pl.DataFrame:
    """sku, week, units_returned_of_week: units sold in the week that came back since; of an unknown sale, in no week."""
    return (
        links.filter(pl.col("sold_on").is_not_null())
        .group_by("sku", week=pl.col("sold_on").dt.truncate("1w"))
        .agg(units_returned_of_week=pl.col("quantity").sum())
        .sort("sku", "week")
    )


def returns_of_unknown_sales(links: pl.DataFrame) -> pl.DataFrame:
    """sku, week (of the return), quantity: what came back without a sale that it could be held against."""
    return (
        links.filter(pl.col("sold_on").is_null())
        .group_by("sku", week=pl.col("returned_on").dt.truncate("1w"))
        .agg(pl.col("quantity").sum())
        .sort("sku", "week")
    )


def cancelled_orders(goods: pl.DataFrame, links: pl.DataFrame) -> pl.Series:
    """Orders of which every unit was taken back within `CANCELLED_WITHIN` of its sale: a mistake or a change of mind, never
    demand. An order that came back later, or in part, was wanted on its day.

    The rule looks two days ahead and no further: two days after the end of a week its cancelled orders are final.
    """
    soon = links.filter(pl.col("returned_on") - pl.col("sold_on") <= CANCELLED_WITHIN)
    back = soon.group_by(order="sale_order").agg(back=pl.col("quantity").sum())
    sold = goods.filter(pl.col("quantity") > 0).group_by("order").agg(sold=pl.col("quantity").sum())
    return back.join(sold, on="order").filter(pl.col("back") >= pl.col("sold"))["order"].sort()


@dataclass(slots=True)
class _Sale:
    """Units of a sale that have not come back yet."""

    day: date
    order: int
    left: int


class _Shelves:
    """The sales that returns may be held against, by what they are found by; each is in several places at once."""

    def __init__(self, sales: pl.DataFrame) -> None:
        self.places: defaultdict[tuple[str, object, str], list[_Sale]] = defaultdict(list)
        for line in sales.iter_rows(named=True):
            sale = _Sale(line["day"], line["order"], line["quantity"])
            keys = (
                (BY_ORDER, line["order"]),
                (BY_ORIGINAL, line.get("order_number")),
                (BY_CUSTOMER, line.get("customer")),
            )
            for rule, key in keys:
                if key is not None:
                    self.places[rule, key, line["sku"]].append(sale)

    def take_back(self, line: dict) -> list[tuple]:
        """The rows of one return: the latest sales first, and what is left without any."""
        sku, day, left, rows = line["sku"], line["day"], -line["quantity"], []
        keys = (BY_ORDER, line["order"]), (BY_ORIGINAL, line.get("original_order")), (BY_CUSTOMER, line.get("customer"))
        for rule, key in keys:
            for sale in reversed(self.places.get((rule, key, sku), ())):
                if not left:
                    return rows
                too_old = rule == BY_CUSTOMER and day - sale.day > RETURN_WINDOW
                if sale.left and sale.day <= day and not too_old:
                    taken = min(left, sale.left)
                    sale.left, left = sale.left - taken, left - taken
                    rows.append((sku, day, sale.day, sale.order, taken, rule))
        return [*rows, (sku, day, None, None, left, None)] if left else rows


def _in_time_order(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.sort("day", *(["occurred_at"] if "occurred_at" in lines.columns else []), maintain_order=True)
