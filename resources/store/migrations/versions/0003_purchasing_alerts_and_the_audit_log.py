"""Purchasing, alerts and the audit log."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_audit_log_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["brand_id", "at"], unique=False)
    op.create_table(
        "purchase_orders",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("number", sa.String(length=128), nullable=False),
        sa.Column("supplier", sa.String(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "approved",
                "ordered",
                "received",
                "cancelled",
                name="purchase_order_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_purchase_orders_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase_orders")),
        sa.UniqueConstraint("brand_id", "number", name=op.f("uq_purchase_orders_brand_id_number")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "low_stock", "out_of_stock", name="alert_kind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "open",
                "acknowledged",
                "resolved",
                name="alert_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("sku_id", big_integer, nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_alerts_brand_id_brands")),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_alerts_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "uq_alerts_unresolved",
        "alerts",
        ["brand_id", "sku_id", "kind"],
        unique=True,
        sqlite_where=sa.text("status <> 'resolved'"),
        postgresql_where=sa.text("status <> 'resolved'"),
    )
    op.create_table(
        "purchase_order_lines",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("purchase_order_id", big_integer, nullable=False),
        sa.Column("sku_id", big_integer, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("received_quantity", sa.Integer(), nullable=False),
        sa.Column("unit_cost_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_purchase_order_lines_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["purchase_order_id"],
            ["purchase_orders.id"],
            name=op.f("fk_purchase_order_lines_purchase_order_id_purchase_orders"),
        ),
        sa.ForeignKeyConstraint(["sku_id"], ["skus.id"], name=op.f("fk_purchase_order_lines_sku_id_skus")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase_order_lines")),
        sa.UniqueConstraint(
            "purchase_order_id", "sku_id", name=op.f("uq_purchase_order_lines_purchase_order_id_sku_id")
        ),
    )
