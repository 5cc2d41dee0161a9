"""Channels with APIs of their own: connections, what they show, writes, orders; limits; reservations, rules, sets, numbers."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer
from resources.store.vocabulary import ALERT_KINDS

revision = "0007"
down_revision = "0006"

_OPEN, _UNMAPPED = sa.text("finished_at IS NULL"), sa.text("sku_id IS NULL")
_UNRESOLVED = sa.text("status <> 'resolved'")


def upgrade() -> None:
    _create_connections()
    _create_orders()
    _create_limits()
    _create_stock_keeping()
    _add_columns()
    _widen_alerts()


def _create_connections() -> None:
    op.create_table(
        "channel_connections",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "woocommerce",
                "shopify",
                "amazon",
                "ebay",
                name="connector_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("locations", sa.JSON(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column(
            "foreign_edits",
            sa.Enum(
                "min_wins",
                "master_wins",
                "hold",
                name="foreign_edit_policy",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("orders_seen_until", UtcDateTime(), nullable=True),
        sa.Column("listed_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_channel_connections_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_channel_connections_channel_id_channels")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_connections")),
        sa.UniqueConstraint("channel_id", name=op.f("uq_channel_connections_channel_id")),
    )
    op.create_table(
        "channel_items",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("channel_sku", sa.String(), nullable=True),
        sa.Column("sku_id", big_integer, nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("shown", sa.Integer(), nullable=True),
        sa.Column("price_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("unwritable", sa.String(), nullable=True),
        sa.Column("handles", sa.JSON(), nullable=False),
        sa.Column("read_at", UtcDateTime(), nullable=False),
        sa.Column("agreed", sa.Integer(), nullable=True),
        sa.Column("pending", sa.Integer(), nullable=True),
        sa.Column("pending_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_channel_items_brand_id_brands")),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_channel_items_channel_id_channels")),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_channel_items_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_items")),
        sa.UniqueConstraint("channel_id", "key", name=op.f("uq_channel_items_channel_id_key")),
    )
    op.create_index("ix_channel_items_sku", "channel_items", ["brand_id", "sku_id"], unique=False)
    op.create_table(
        "channel_writes",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column(
            "field", sa.Enum("stock", "price", name="written_field", native_enum=False, length=32), nullable=False
        ),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "intent",
                "confirmed",
                "accepted",
                "stale",
                "refused",
                "ignored",
                "unknown",
                "lost",
                "not_sent",
                name="write_state",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("shown", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=64), nullable=False),
        sa.Column("intended_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_writes")),
    )
    op.create_index("ix_channel_writes_item", "channel_writes", ["channel_id", "key"], unique=False)
    op.create_index(
        "ix_channel_writes_open",
        "channel_writes",
        ["channel_id"],
        unique=False,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "sku_mappings",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column("channel_sku", sa.String(length=128), nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_sku_mappings_brand_id_brands")),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_sku_mappings_channel_id_channels")),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_sku_mappings_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sku_mappings")),
        sa.UniqueConstraint("channel_id", "channel_sku", name=op.f("uq_sku_mappings_channel_id_channel_sku")),
    )


def _create_orders() -> None:
    op.create_table(
        "channel_orders",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=False),
        sa.Column("external_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("shipping_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("order_id", big_integer, nullable=True),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_channel_orders_brand_id_brands")),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_channel_orders_channel_id_channels")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_channel_orders_order_id_orders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_orders")),
        sa.UniqueConstraint("channel_id", "external_id", name=op.f("uq_channel_orders_channel_id_external_id")),
    )
    op.create_table(
        "channel_order_lines",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_order_id", big_integer, nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column("channel_sku", sa.String(), nullable=True),
        sa.Column("key", sa.String(length=255), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("sku_id", big_integer, nullable=True),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_channel_order_lines_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["channel_order_id"],
            ["channel_orders.id"],
            name=op.f("fk_channel_order_lines_channel_order_id_channel_orders"),
        ),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_channel_order_lines_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_order_lines")),
        sa.UniqueConstraint(
            "channel_order_id", "external_id", name=op.f("uq_channel_order_lines_channel_order_id_external_id")
        ),
    )
    op.create_index(
        "ix_channel_order_lines_unmapped",
        "channel_order_lines",
        ["brand_id"],
        unique=False,
        sqlite_where=_UNMAPPED,
        postgresql_where=_UNMAPPED,
    )


def _create_limits() -> None:
    op.create_table(
        "circuit_breakers",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "closed",
                "open",
                "half_open",
                name="breaker_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.Column("last_failure_at", UtcDateTime(), nullable=True),
        sa.Column("last_failure", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_circuit_breakers_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_circuit_breakers")),
        sa.UniqueConstraint("brand_id", "name", name=op.f("uq_circuit_breakers_brand_id_name")),
    )
    op.create_table(
        "rate_buckets",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("bucket", sa.String(length=255), nullable=False),
        sa.Column("available", sa.Float(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("capacity", sa.Float(), nullable=False),
        sa.Column("refilled_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_rate_buckets_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_buckets")),
        sa.UniqueConstraint("brand_id", "bucket", name=op.f("uq_rate_buckets_brand_id_bucket")),
    )
    op.create_table(
        "daily_quotas",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("bucket", sa.String(length=255), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("resets_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_daily_quotas_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_daily_quotas")),
        sa.UniqueConstraint("brand_id", "bucket", name=op.f("uq_daily_quotas_brand_id_bucket")),
    )


def _create_stock_keeping() -> None:
    op.create_table(
        "bundle_components",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("bundle_id", big_integer, nullable=False),
        sa.Column("component_id", big_integer, nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_bundle_components_brand_id_brands")),
        sa.ForeignKeyConstraint(["bundle_id"], ["skus.id"], name=op.f("fk_bundle_components_bundle_id_skus")),
        sa.ForeignKeyConstraint(["component_id"], ["skus.id"], name=op.f("fk_bundle_components_component_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_components")),
        sa.UniqueConstraint("bundle_id", "component_id", name=op.f("uq_bundle_components_bundle_id_component_id")),
    )
    op.create_table(
        "stock_rules",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel_id", big_integer, nullable=True),
        sa.Column("sku_id", big_integer, nullable=True),
        sa.Column("buffer", sa.Integer(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_stock_rules_brand_id_brands")),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_stock_rules_channel_id_channels")),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_stock_rules_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_rules")),
    )
    op.create_table(
        "reservations",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column("location_id", big_integer, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "active",
                "consumed",
                "released",
                "expired",
                name="reservation_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_reservations_brand_id_brands")),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name=op.f("fk_reservations_location_id_locations")),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_reservations_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        sa.UniqueConstraint("brand_id", "reference", name=op.f("uq_reservations_brand_id_reference")),
    )
    op.create_index("ix_reservations_expires_at", "reservations", ["brand_id", "state", "expires_at"], unique=False)
    op.create_table(
        "numbered_pieces",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column("serial", sa.String(length=128), nullable=False),
        sa.Column("location_id", big_integer, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "in_stock",
                "sold",
                "withdrawn",
                name="piece_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_numbered_pieces_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["location_id"], ["locations.id"], name=op.f("fk_numbered_pieces_location_id_locations")
        ),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_numbered_pieces_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_numbered_pieces")),
        sa.UniqueConstraint("brand_id", "sku_id", "serial", name=op.f("uq_numbered_pieces_brand_id_sku_id_serial")),
    )


def _add_columns() -> None:
    op.add_column("inbox_messages", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("inbox_messages", sa.Column("attempts", sa.Integer(), nullable=True))
    op.add_column(
        "skus",
        sa.Column(
            "supply",
            sa.Enum("stock", "made_to_order", "pre_order", name="supply", native_enum=False, length=32),
            nullable=True,
        ),
    )
    op.add_column("skus", sa.Column("supply_limit", sa.Integer(), nullable=True))
    op.add_column("skus", sa.Column("supply_from", sa.Date(), nullable=True))
    op.add_column("skus", sa.Column("supply_until", sa.Date(), nullable=True))
    op.add_column("skus", sa.Column("is_numbered", sa.Boolean(), nullable=True))
    op.add_column("stock_movements", sa.Column("actor", sa.String(length=255), nullable=True))
    op.add_column("stock_movements", sa.Column("reason", sa.String(), nullable=True))


def _widen_alerts() -> None:
    # SQLite makes the table anew, and its partial indexes with it.
    for name in ("uq_alerts_unresolved", "uq_alerts_unresolved_subject"):
        op.drop_index(name, "alerts")
    with op.batch_alter_table("alerts") as table:
        table.drop_constraint(op.f("ck_alerts_alert_kind"), type_="check")
        table.create_check_constraint(op.f("ck_alerts_alert_kind"), sa.column("kind").in_(ALERT_KINDS))
    for name, column in (("uq_alerts_unresolved", "sku_id"), ("uq_alerts_unresolved_subject", "subject")):
        op.create_index(
            name,
            "alerts",
            ["brand_id", column, "kind"],
            unique=True,
            sqlite_where=_UNRESOLVED,
            postgresql_where=_UNRESOLVED,
        )
