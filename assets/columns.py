"""What each column means: one glossary for every asset, since a name means the same thing everywhere.

Belongs here: the words. Does not belong here: which asset has which columns (its own package says that).
"""

from collections.abc import Mapping

import dagster as dg
import polars as pl

GLOSSARY: dict[str, str] = {
    "account": "Code of the account in the chart of accounts",
    "account_name": "Name of the account",
    "account_type": "asset, liability, equity, revenue or expense",
    "amount_minor": "Amount in minor units of `currency`; negative for returns and credits",
    "available": "Units that can be sold: on hand less reserved",
    "base_amount_minor": "Amount in minor units of the brand's base currency; empty where the day has no rate",
    "base_cost_minor": "Cost of the goods in minor units of the base currency; empty where unknown",
    "base_currency": "ISO 4217 code of the brand's base currency",
    "base_margin_minor": "Revenue less cost in minor units of the base currency; empty where a cost is unknown",
    "base_revenue_minor": "Net revenue from goods in minor units of the base currency",
    "bias": "Sum of forecast less sold over units sold, on held-out weeks",
    "carried": "Whether the rate was taken over from an earlier day",
    "base_costed_revenue_minor": "Net revenue of the goods whose cost is known, in minor units of the base currency",
    "costed_revenue": "Net revenue of the goods whose cost is known, in minor units of the base currency",
    "gross_sales": "Goods sold, in minor units of the base currency",
    "returns": "Goods returned, as a positive amount in minor units of the base currency",
    "net_revenue": "Gross sales less returns, in minor units of the base currency",
    "cogs": "Cost of the goods whose cost is known, in minor units of the base currency",
    "margin": "Costed revenue less its cost, in minor units of the base currency; empty where no cost is known",
    "category": "Category of the product, such as bags",
    "channel": "Place of sale",
    "chosen": "Whether this model makes the forecast of the SKU",
    "code": "Stock code as the source writes it",
    "collection": "Collection of the product",
    "color": "Colour",
    "cost_minor": "Cost of one unit in minor units of `currency`",
    "counted": "Whether there ever was an opening count or a receipt; without one the level is only a difference",
    "country": "Country of the order as the source names it",
    "created_at": "When it was written (UTC)",
    "currency": "ISO 4217 code",
    "customer": "Keyed hash of the client; empty for a guest",
    "day": "Local day of the event, and its partition",
    "denominator": "Denominator of the exact exchange ratio",
    "description": "Text of the line or entry",
    "details": "Figures behind it (JSON)",
    "entry_id": "Journal entry",
    "expected_on": "Day on which the goods should arrive",
    "folds": "Rolling origins that the score is pooled over",
    "import_id": "Import that brought the line",
    "kind": "What the line or movement is; see docs/ingest.md",
    "last_movement_at": "When stock last moved (UTC)",
    "launched_on": "First day of sale",
    "lead_time_days": "Days from order to shelf",
    "level": "Probability that the interval should cover",
    "line_id": "Order line",
    "location": "Where the stock is",
    "lower": "Lower end of the forecast interval, units a week",
    "manual_reorder_point": "Reorder point that a person set",
    "margin_rate": "Margin over revenue",
    "mean": "Expected units a week",
    "min_order_quantity": "Smallest quantity, and pack size, that the supplier sells",
    "model": "prophet, seasonal_naive or mean",
    "month": "First day of the month",
    "movement_id": "Stock movement",
    "name": "Name",
    "number": "Number of the purchase order",
    "numerator": "Numerator of the exact exchange ratio: base units for one of `currency`",
    "occurred_at": "When it happened (UTC)",
    "on_hand": "Units in stock: the sum of all movements but reservations",
    "on_order": "Units that open purchase orders still have to bring",
    "opened_at": "When the alert was raised (UTC)",
    "order_day": "Local day on which the order was placed",
    "order_id": "Order",
    "order_number": "Number of the invoice or credit note",
    "order_up_to": "Level to which an order fills the stock",
    "orders": "Invoices with goods sold",
    "posting_id": "Posting",
    "product": "Code of the product (style)",
    "quantity": "Units; negative for returns and outgoing movements",
    "quoted_on": "Day of the quotation that the rate comes from",
    "rate": "Units of base currency for one of `currency`, for the eye; the ratio is exact",
    "reason": "Why, in words",
    "received_quantity": "Units that have arrived",
    "recommended_quantity": "Units to order now",
    "recorded_at": "When the entry was written (UTC)",
    "reference": "Document behind the movement",
    "reorder_point": "At or below this many units available and on order, it is time to order",
    "reserved": "Units promised but not yet gone",
    "retail_price_minor": "Retail price in minor units of `currency`",
    "rmsse": "Root mean squared scaled error on held-out weeks; below 1 beats last week's value",
    "safety_stock": "Units kept against forecast error",
    "section": "revenue or expense",
    "sigma_weekly": "Standard error of the forecast, units a week",
    "size": "Size",
    "sku": "Stock keeping unit",
    "source": "Where the rate comes from",
    "status": "State",
    "step": "Weeks ahead",
    "stockout_on": "Day on which stock runs out at the expected demand",
    "subcategory": "Subcategory of the product",
    "supplier": "Who makes it",
    "unconverted": "How many rows have no exchange rate and are in no amount",
    "unit_cost_minor": "Cost of one unit in minor units of `currency`; empty where unknown",
    "unit_price_micros": "Price of one unit in millionths of the currency's major unit",
    "units": "Units sold less units returned",
    "units_costed": "Of the units sold less returned, how many have a known cost",
    "units_returned": "Units returned",
    "units_sold": "Units sold",
    "alert_id": "Alert",
    "upper": "Upper end of the forecast interval, units a week",
    "valid_from": "First day on which the cost holds",
    "wape": "Weighted absolute percentage error on held-out weeks",
    "week": "Monday of the week",
    "weekly_mean": "Expected units a week over the lead time and review",
    "weeks_of_cover": "Weeks that the available units last at the expected demand",
} | {
    f"{prefix}{name}_minor": f"{text} in minor units of {currency}"
    for prefix, currency in (("", "`currency`"), ("base_", "the base currency; empty where the day has no rate"))
    for name, text in {
        "gross_sales": "Goods sold at a price above zero",
        "returns": "Goods returned, as a positive amount",
        "net_revenue": "Gross sales less returns",
        "discounts": "Discounts given",
        "shipping": "Shipping charged",
        "other_sales": "Sales outside the goods rule",
        "adjustments": "Manual adjustments",
        "tax": "Sales tax and VAT collected",
        "gift_cards": "Gift cards sold less redeemed, a liability",
        "fees": "Payment and marketplace fees",
        "samples": "Samples given",
        "bad_debt": "Bad debt written off",
        "cost_of_goods": "Cost of the goods sold, as far as it is known",
    }.items()
}

_TYPES = {pl.Int64: "integer", pl.Float64: "float", pl.String: "string", pl.Boolean: "boolean", pl.Date: "date"}


def table_schema(schema: Mapping[str, pl.DataType]) -> dg.TableSchema:
    """Dagster's table schema with the glossary's words. Raises KeyError for a column that nobody has described."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, _TYPES.get(type(dtype), "timestamp"), description=GLOSSARY[name])
            for name, dtype in schema.items()
        ]
    )
