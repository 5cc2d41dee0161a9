"""The tables, one module an area. Every row belongs to a brand."""

from resources.store.models.audit import Alert, AuditEvent
from resources.store.models.brand import Brand, Channel, Location
from resources.store.models.catalog import Listing, Product, Sku, SkuCost
from resources.store.models.customers import Customer, CustomerProfile
from resources.store.models.effects import Effect
from resources.store.models.gateway import IdempotencyKey, InboxMessage, RevokedToken, Spending
from resources.store.models.ledger import Account, FxRate, JournalEntry, Posting, Transaction
from resources.store.models.orders import Import, Order, OrderLine
from resources.store.models.purchasing import PurchaseOrder, PurchaseOrderLine
from resources.store.models.stock import StockMovement
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
    "Alert",
    "Approval",
    "AuditEvent",
    "Base",
    "Brand",
    "Channel",
    "Customer",
    "CustomerProfile",
    "Effect",
    "FxRate",
    "IdempotencyKey",
    "Import",
    "InboxMessage",
    "JournalEntry",
    "Listing",
    "Location",
    "Order",
    "OrderLine",
    "Posting",
    "Product",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "RevokedToken",
    "Sku",
    "SkuCost",
    "Spending",
    "StockMovement",
    "Transaction",
    "WebhookDelivery",
    "WebhookSubscription",
    "Workflow",
    "WorkflowEvent",
    "WorkflowStep",
]
