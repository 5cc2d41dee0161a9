"""The tables, one module an area. Every row belongs to a brand."""

from resources.store.models.audit import Alert, AuditEvent
from resources.store.models.brand import Brand, Channel, Location
from resources.store.models.catalog import BundleComponent, Listing, Product, Sku, SkuCost
from resources.store.models.channels import (
    ChannelConnection,
    ChannelItem,
    ChannelOrder,
    ChannelOrderLine,
    ChannelWrite,
    CircuitBreaker,
    DailyQuota,
    RateBucket,
    SkuMapping,
)
from resources.store.models.customers import Customer, CustomerProfile
from resources.store.models.effects import Effect
from resources.store.models.fraud import FraudReview, OrderHold
from resources.store.models.gateway import IdempotencyKey, InboxMessage, RevokedToken, Spending
from resources.store.models.ledger import (
    Account,
    AccountingPeriod,
    FxRate,
    FxRateCorrection,
    JournalEntry,
    Posting,
    Transaction,
)
from resources.store.models.orders import Import, Order, OrderLine
from resources.store.models.purchasing import PurchaseOrder, PurchaseOrderLine
from resources.store.models.reconciliation import (
    BankLine,
    BankStatement,
    Match,
    Payout,
    SettlementLine,
    StatementFile,
    SupplierInvoice,
    SupplierInvoiceLine,
)
from resources.store.models.stock import NumberedPiece, Reservation, StockMovement, StockRule
from resources.store.models.stock_valuation import StockLayer, StockValuation
from resources.store.models.vault import VaultKey
from resources.store.models.visuals import CachedImages, ImageBatch, ImageCall, ImageFlight, Picture
from resources.store.models.workflows import (
    Approval,
    WebhookDelivery,
    WebhookSubscription,
    Workflow,
    WorkflowEvent,
    WorkflowStep,
)
from resources.store.types import Base

__all__ = [
    "Account",
    "AccountingPeriod",
    "Alert",
    "Approval",
    "AuditEvent",
    "BankLine",
    "BankStatement",
    "Base",
    "Brand",
    "BundleComponent",
    "CachedImages",
    "Channel",
    "ChannelConnection",
    "ChannelItem",
    "ChannelOrder",
    "ChannelOrderLine",
    "ChannelWrite",
    "CircuitBreaker",
    "Customer",
    "CustomerProfile",
    "DailyQuota",
    "Effect",
    "FraudReview",
    "FxRate",
    "FxRateCorrection",
    "IdempotencyKey",
    "ImageBatch",
    "ImageCall",
    "ImageFlight",
    "Import",
    "InboxMessage",
    "JournalEntry",
    "Listing",
    "Location",
    "Match",
    "NumberedPiece",
    "Order",
    "OrderHold",
    "OrderLine",
    "Payout",
    "Picture",
    "Posting",
    "Product",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "RateBucket",
    "Reservation",
    "RevokedToken",
    "SettlementLine",
    "Sku",
    "SkuCost",
    "SkuMapping",
    "Spending",
    "StatementFile",
    "StockLayer",
    "StockMovement",
    "StockRule",
    "StockValuation",
    "SupplierInvoice",
    "SupplierInvoiceLine",
    "Transaction",
    "VaultKey",
    "WebhookDelivery",
    "WebhookSubscription",
    "Workflow",
    "WorkflowEvent",
    "WorkflowStep",
]
