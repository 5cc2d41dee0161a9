"""Answers of the finance routes. The requests are the agent's own parameters (`agents/finance_inventory/parameters`)."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from luxauto_pipelines.agents.finance_inventory.parameters import ChannelName, TransactionType


class ItemError(BaseModel):
    """An item that was not taken."""

    item: str = Field(description="Its SKU, or its place where it has none.")
    error: str
    index: int = Field(description="Its place in `items`, from 0.")


class InventorySynced(BaseModel):
    """What became of the items."""

    success: bool
    channel: ChannelName
    synced_items: int = Field(description="SKUs made.")
    updated_items: int = Field(description="Items of SKUs that were known.")
    errors: int
    error_details: list[ItemError]
    timestamp: datetime
    movements: int = Field(description="Stock movements written: none where the stock already agreed.")
    costs_changed: int


class TransactionRecorded(BaseModel):
    """The transaction, as first recorded."""

    success: bool
    transaction_id: str
    type: TransactionType
    amount: float = Field(description="As sent.")
    currency: str
    status: Literal["recorded"]
    created_at: datetime


class Interval(BaseModel):
    """80 % of futures lie between the two, by what the model missed on weeks that it had not seen."""

    lower: float | None
    upper: float | None


class DayForecast(BaseModel):
    """Units expected on a day."""

    date: date
    mean: float
    lower: float
    upper: float


class Days(BaseModel):
    """A run of days, both ends included."""

    days: int
    start_date: date
    end_date: date


class Forecast(BaseModel):
    """Expected demand. Null where nothing is known; `reason` says why."""

    forecast_id: str
    item_id: str
    sku: str
    predicted_demand: float | None = Field(description="Units over the period.")
    confidence_interval: Interval
    confidence_score: float | None = Field(
        description="1 less the model's error (WAPE) on weeks it had not seen; 0..1."
    )
    recommended_order_quantity: int | None
    forecast_period: Days
    generated_at: datetime
    model: str = Field(examples=["mean", "seasonal_naive", "prophet", "no_history"])
    weekday_profile: Literal["sku", "brand", "even"] | None = Field(
        description="Whose weekdays the weeks are spread by."
    )
    reason: str | None = Field(description="Why this model.")
    daily: list[DayForecast]


class Period(BaseModel):
    """Both days included."""

    start_date: date
    end_date: date


class Summary(BaseModel):
    """Amounts in major units of `currency`; shares are fractions. Null where the cost of a unit sold is not known."""

    total_revenue: float = Field(description="Goods sold.")
    total_refunds: float = Field(description="Goods that came back, and refunds.")
    net_revenue: float
    transaction_count: int
    order_count: int
    average_order_value: float | None
    cost_of_goods_sold: float | None
    gross_profit: float | None
    gross_margin: float | None = Field(description="Share of net revenue: 0.62 is 62 %.")
    discounts: float
    other_income: float = Field(description="Shipping, other sales, adjustments and recorded revenue.")
    operating_expenses: float = Field(description="Fees, samples, bad debt and recorded expenses.")
    net_profit: float | None = Field(description="Gross profit + other income - discounts - operating expenses.")
    roi: float | None = Field(description="Net profit over cost of goods and operating expenses.")
    tax_collected: float
    units_without_cost: int


class TopSeller(BaseModel):
    sku: str
    quantity_sold: int
    revenue: float


class Unconverted(BaseModel):
    """What is in no sum, as no exchange rate of the day is known."""

    currency: str
    gross_sales: float
    returns: float
    days: list[date]


class FinancialReport(BaseModel):
    """The books of a period."""

    period: Period
    currency: str
    summary: Summary
    revenue_by_channel: dict[str, float]
    top_selling_items: list[TopSeller]
    unconverted: list[Unconverted]
    generated_at: datetime


Cell = int | float | str | None


class StatementColumn(BaseModel):
    """A column of a report."""

    key: str
    label: str
    kind: Literal["money", "count", "share", "text"]


class StatementRow(BaseModel):
    """A row: a line, or a sum of lines. A heading has no cells."""

    key: str
    label: str
    kind: Literal["heading", "line", "subtotal", "total"]
    depth: int
    currency: str = Field(description="Of its amounts.")
    cells: dict[str, Cell] = Field(
        description="By column: amounts in major units, shares as fractions; null is unknown."
    )


class Statement(BaseModel):
    """A report of the books."""

    name: str
    title: str
    period: Period
    currency: str
    columns: list[StatementColumn]
    rows: list[StatementRow]
    notes: list[str]
    generated_at: datetime


class Evidence(BaseModel):
    """A posting or an order line behind a cell."""

    day: date
    kind: str
    order_number: str | None
    channel: str | None
    description: str | None
    amount: float
    currency: str
    value: float | None = Field(None, description="What it adds to the cell; null where it has no exchange rate.")
    entry_id: int | None = Field(None, description="The journal entry of a posting.")
    reference: str | None = None
    account: str | None = None
    account_name: str | None = None
    sku: str | None = None
    quantity: int | None = None


class Explanation(BaseModel):
    """What a cell is made of. The values of all entries add up to the total."""

    report: str
    cell: str
    label: str
    currency: str
    total: float | None
    entry_count: int
    entries: list[Evidence] = Field(description="The first thousand.")
    order_line_count: int
    order_lines: list[Evidence] = Field(description="The order lines behind them; the first thousand.")


class Inventory(BaseModel):
    total_items: int
    in_stock: int
    low_stock: int
    out_of_stock: int
    not_counted: int = Field(description="SKUs of which nobody has counted the stock.")


class Transactions(BaseModel):
    total_transactions: int
    by_type: dict[str, int]
    ledger_head: str = Field(
        description="Hash of the newest journal entry; whoever keeps it can prove what stood before."
    )
    closed_through: str | None = Field(description="Newest closed month of the books, such as 2026-10.")


class Alerts(BaseModel):
    active_alerts: int
    total_alerts: int


class SyncPerformance(BaseModel):
    sync_count: int


class Breaker(BaseModel):
    """The circuit breaker of an integration."""

    state: str
    failures: int
    last_failure: datetime | None


class FinanceState(BaseModel):
    agent_name: str
    version: str
    inventory: Inventory
    transactions: Transactions
    alerts: Alerts
    performance: SyncPerformance
    circuit_breakers: dict[str, Breaker]


class FinanceStatus(BaseModel):
    """How the agent stands."""

    available: bool
    status: FinanceState
