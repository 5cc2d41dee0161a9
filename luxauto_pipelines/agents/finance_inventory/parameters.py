"""What the finance agent's methods take: every field, its limits, and examples.

Belongs here: what can be judged from a request alone. Does not belong here: what must be looked up (each method's module).
The gateway serves the same models, so that a workflow and a request are held to the same rules.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from assets.finance.money import exponent
from assets.ingestion.lines import LARGEST_MINOR, MAX_CODE, OLDEST
from luxauto_pipelines.agents.finance_inventory.errors import InvalidFields
from luxauto_pipelines.gateway.schema_types import (
    Currency,
    Day,
    Identifier,
    Instant,
    Json,
    Line,
    Name,
    NonNegativeMoney,
    PositiveMoney,
    Prose,
    Strict,
)

ChannelName = Literal[
    "online_store",
    "physical_store",
    "marketplace",
    "social_commerce",
    "wholesale",
    "b2b",
    "woocommerce",
    "shopify",
    "amazon",
    "ebay",
]
TransactionType = Literal["sale", "refund", "purchase", "adjustment", "transfer", "expense", "revenue"]
MOST_ITEMS = 10_000
MOST_LINES = 1_000
MOST_CHANNELS = 100
MOST_UNITS = 10**9
DEFAULT_FORECAST_DAYS = 30
MOST_FORECAST_DAYS = 365

Units = Annotated[int, Field(strict=True, ge=0, le=MOST_UNITS)]


class InventoryItem(Strict):
    """A SKU as a channel tells of it. What is left out stays as it is known."""

    sku: Identifier
    item_id: Identifier | None = Field(None, description="The channel's own id of the item.")
    name: Name | None = None
    description: Prose | None = None
    category: Name | None = None
    subcategory: Name | None = None
    brand: Name | None = Field(None, description="Brand on the label.")
    collection: Name | None = None
    quantity_available: Units | None = Field(None, description="Units on hand at the channel's location.")
    quantity_reserved: Units | None = Field(None, description="How many of those are promised to orders.")
    reorder_point: Units | None = Field(None, description="At or below it the SKU is low.")
    reorder_quantity: Units | None = Field(None, description="Units to order at a time.")
    cost_price: NonNegativeMoney | None = Field(None, description="What one unit costs, from now on.")
    retail_price: NonNegativeMoney | None = None
    currency: Currency | None = Field(None, description="Of both prices. Default: the SKU's, else the brand's.")

    @model_validator(mode="after")
    def _stored(self) -> "InventoryItem":
        for name in ("sku", "item_id"):
            fits_code(getattr(self, name), name)
        return self


class _ListOfItems:
    """Documents the items as what each of them has to be; they are read one by one."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "items": handler(InventoryItem.__pydantic_core_schema__)}


def _items(value: Any) -> Any:
    """Items are judged one by one by the method; here only what no program means to send is refused."""
    for position, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, Mapping) and (unknown := [name for name in item if name not in InventoryItem.model_fields]):
            told = {"position": position, "name": str(unknown[0])[:100]}
            raise PydanticCustomError("unknown_field", "item {position} has the unknown field {name}", told)
    return value


class InventorySync(Strict):
    """What a channel holds. Items that cannot be taken are reported one by one and do not stop the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "channel": "online_store",
                    "items": [
                        {"sku": "LUX-BAG-001", "quantity_available": 50, "retail_price": 1299.99, "cost_price": 650.00}
                    ],
                }
            ]
        }
    )

    channel: ChannelName
    items: Annotated[list[Any], Field(min_length=1, max_length=MOST_ITEMS), BeforeValidator(_items), _ListOfItems()]


class LineItem(Strict):
    """Units of one SKU at one price."""

    sku: Identifier | None = None
    item_id: Identifier | None = Field(None, description="The channel's own id of the item, or a SKU.")
    quantity: Annotated[int, Field(strict=True, ge=1, le=MOST_UNITS)]
    unit_price: NonNegativeMoney

    @model_validator(mode="after")
    def _named(self) -> "LineItem":
        if self.sku is None and self.item_id is None:
            raise PydanticCustomError("item", "needs sku or item_id")
        for name in ("sku", "item_id"):
            fits_code(getattr(self, name), name)
        return self


class TransactionRecord(Strict):
    """A money event. A sale or refund with `line_items` also moves stock."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "sale",
                    "amount": 1299.99,
                    "currency": "EUR",
                    "channel": "online_store",
                    "order_id": "A-1001",
                    "payment_method": "card",
                    "line_items": [{"sku": "LUX-BAG-001", "quantity": 1, "unit_price": 1299.99}],
                }
            ]
        }
    )

    type: TransactionType = "sale"
    amount: PositiveMoney = Field(description="Everything included: subtotal + tax + shipping - discount.")
    currency: Currency = "USD"
    channel: ChannelName | None = Field(None, description="Default: that of the order, else online_store.")
    order_id: Identifier | None = Field(None, description="With `type` the identity: the same again changes nothing.")
    customer_id: Identifier | None = None
    payment_method: Name | None = Field(None, description="Such as card or bank_transfer; never a card number.")
    line_items: list[LineItem] = Field(default_factory=list, max_length=MOST_LINES)
    subtotal: NonNegativeMoney | None = Field(None, description="Goods before tax, shipping and discount.")
    tax_amount: NonNegativeMoney | None = None
    shipping_amount: NonNegativeMoney | None = None
    discount_amount: NonNegativeMoney | None = None
    occurred_at: Instant | None = Field(None, description="Default: now.")
    metadata: Json = Field(default_factory=dict)


class ForecastRequest(Strict):
    """Which item, and how far ahead."""

    item_id: Identifier = Field(description="A SKU or a channel's item id.")
    forecast_period_days: Annotated[int, Field(strict=True, ge=1, le=MOST_FORECAST_DAYS)] = DEFAULT_FORECAST_DAYS


class ReportRequest(Strict):
    """Which days, both included, and in which currency."""

    start_date: Day | Instant | None = Field(None, description="Default: 29 days before the end.")
    end_date: Day | Instant | None = Field(None, description="Default: today in the brand's zone.")
    currency: Currency | None = Field(None, description="Default: the brand's base currency.")


class StatementRequest(ReportRequest):
    """Which report besides, by which columns, and beside which other days."""

    name: Identifier
    by: Literal["day", "month", "quarter", "year", "channel", "country"] | None = Field(
        None, description="Columns; each report has a default and offers some of these."
    )
    compare: Literal["previous", "year", "previous_constant", "year_constant"] | None = Field(
        None, description="Other days to stand beside these; `constant`: also at the rates of those days."
    )


class ExplanationRequest(StatementRequest):
    """Which cell of it."""

    cell: Line = Field(description="ROW:COLUMN, by their keys.")


class InventorySetup(BaseModel):
    """What a launch wants of the stock; further parameters of a template are passed over."""

    model_config = ConfigDict(extra="ignore")

    brand_name: Line | None = None
    initial_products: Units = 0
    channels: list[ChannelName] = Field(default_factory=list)


class StockQuery(Strict):
    """Which SKUs; all where none is named."""

    skus: list[Identifier] = Field(default_factory=list, max_length=MOST_ITEMS)


class ChannelsSync(Strict):
    """Which connected channels, and of which SKUs; all where none is named."""

    channels: list[Name] = Field(default_factory=list, max_length=MOST_CHANNELS)
    skus: list[Identifier] = Field(default_factory=list, max_length=MOST_ITEMS)
    dry_run: bool = Field(False, description="Say what would be written, and write nothing.")
    prices: bool = Field(False, description="Bring retail prices as well.")


class ChannelsQuery(Strict):
    """Which connected channels; all where none is named."""

    channels: list[Name] = Field(default_factory=list, max_length=MOST_CHANNELS)


class Replenishment(Strict):
    """What to order; all that the plan recommends where no SKU is named."""

    skus: list[Identifier] = Field(default_factory=list, max_length=MOST_ITEMS)


class Nothing(Strict):
    """No parameters."""


class Undoing(BaseModel):
    """A compensation learns from the call what to undo; parameters of its own are passed over."""

    model_config = ConfigDict(extra="allow")


def fits_code(value: str | None, name: str) -> None:
    if value is not None and len(value.encode()) > MAX_CODE:
        raise PydanticCustomError("code", "{name} is longer than {most} bytes", {"name": name, "most": MAX_CODE})


def misfit(value: Decimal | None, currency: str) -> str | None:
    """Why an amount cannot be one of its currency, if so: digits that the currency lacks, or a size no book holds."""
    if value is None:
        return None
    digits = exponent(currency)
    if value != round(value, digits):
        return f"has more digits after the point than the {digits} of {currency}"
    return f"is larger than {LARGEST_MINOR} minor units" if value.scaleb(digits) > LARGEST_MINOR else None


def implausible(instant: datetime | None) -> str | None:
    """Why something cannot have happened then, if so."""
    if instant is None:
        return None
    if instant.date() <= OLDEST:
        return f"is before {OLDEST}"
    return "is in the future" if instant > datetime.now(UTC) + timedelta(days=1) else None


def judge_items(items: list[Any]) -> tuple[list[tuple[int, InventoryItem]], list[tuple[int, str, str]]]:
    """Items that can be taken, with their positions, and of the others (position, field, message)."""
    good: list[tuple[int, InventoryItem]] = []
    bad: list[tuple[int, str, str]] = []
    for position, item in enumerate(items):
        try:
            good.append((position, InventoryItem.model_validate(item)))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            bad.append((position, "/".join(map(str, first["loc"])), first["msg"]))
    return good, bad


def refused(bad: list[tuple[int, str, str]]) -> InvalidFields:
    """The error of a request of which no item can be taken."""
    return InvalidFields(*((f"#/items/{at}" + (f"/{field}" if field else ""), message) for at, field, message in bad))
