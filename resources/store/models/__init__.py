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
from resources.store.models.gateway import IdempotencyKey, InboxMessage, RevokedToken, Spending
from resources.store.models.ledger import Account, AccountingPeriod, FxRate, JournalEntry, Posting, Transaction
from resources.store.models.orders import Import, Order, OrderLine
from resources.store.models.purchasing import PurchaseOrder, PurchaseOrderLine
from resources.store.models.stock import NumberedPiece, Reservation, StockMovement, StockRule
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
    "Base",
    "Brand",
    "BundleComponent",
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
    "FxRate",
    "IdempotencyKey",
    "Import",
    "InboxMessage",
    "JournalEntry",
    "Listing",
    "Location",
    "NumberedPiece",
    "Order",
    "OrderLine",
    "Posting",
    "Product",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "RateBucket",
    "Reservation",
    "RevokedToken",
    "Sku",
    "SkuCost",
    "SkuMapping",
    "Spending",
    "StockMovement",
    "StockRule",
    "Transaction",
    "WebhookDelivery",
    "WebhookSubscription",
    "Workflow",
    "WorkflowEvent",
    "WorkflowStep",
]
