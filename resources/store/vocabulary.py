"""The words that columns are held to: kinds of channels, movements and lines, states of what has some."""

CHANNEL_KINDS = (
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
)
MOVEMENT_KINDS = (
    "opening",
    "receipt",
    "sale",
    "return",
    "gift",
    "adjustment",
    "write_off",
    "transfer",
    "reservation",
)
LINE_KINDS = (
    "goods",
    "gift",
    "stock_adjustment",
    "shipping",
    "discount",
    "tax",
    "gift_card",
    "refund",
    "fee",
    "adjustment",
    "bad_debt",
    "sample",
    "other",
    "test",
)
OPEN_STATES = ("draft", "approved", "ordered")
ON_ORDER_STATES = ("approved", "ordered")
SETTLEMENT_KINDS = (
    "charge",
    "refund",
    "fee",
    "chargeback",
    "chargeback_reversal",
    "payout",
    "adjustment",
    "reserve",
    "conversion",
    "tax",
    "other",
)
INVOICE_RESULTS = ("matched", "price_variance", "quantity_variance", "no_receipt", "no_order", "duplicate")
WORKFLOW_STATES = (
    "pending",
    "running",
    "waiting",
    "paused",
    "cancelling",
    "compensating",
    "completed",
    "failed",
    "cancelled",
    "needs_attention",
)
STEP_STATES = (
    "pending",
    "intent",
    "done",
    "failed",
    "failed_allowed",
    "skipped",
    "compensating",
    "compensated",
    "compensation_failed",
)
APPROVAL_STATES = ("pending", "approved", "rejected", "expired")
ALERT_KINDS = (
    "low_stock",
    "out_of_stock",
    "workflow",
    "shortfall",
    "channel",
    "fraud",
    "stock_out_ahead",
    "high_demand",
)
FRAUD_VERDICTS = ("fraud", "legit")
CONNECTOR_KINDS = ("woocommerce", "shopify", "amazon", "ebay")
FOREIGN_EDIT_POLICIES = ("min_wins", "master_wins", "hold")
WRITE_STATES = ("intent", "confirmed", "accepted", "stale", "refused", "ignored", "unknown", "lost", "not_sent")
SUPPLIES = ("stock", "made_to_order", "pre_order")
RESERVATION_STATES = ("active", "consumed", "released", "expired")
PIECE_STATES = ("in_stock", "sold", "withdrawn")
VAULT_KEY_STATES = ("active", "retired", "destroyed")
COSTING_METHODS = ("weighted_average", "fifo", "standard")
IMAGE_CALL_STATES = ("reserved", "settled", "released", "uncertain")
PICTURE_STATES = ("accepted", "needs_review", "approved", "rejected", "deleted")
IMAGE_BATCH_STATES = ("intent", "submitted", "unknown", "completed", "failed", "cancelled")
