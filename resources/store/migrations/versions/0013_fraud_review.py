"""Fraud scores under review, and orders that are held; alerts about them."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer
from resources.store.vocabulary import ALERT_KINDS, FRAUD_VERDICTS

revision = "0013"
down_revision = "0012"

_OPEN, _HELD = sa.text("verdict IS NULL"), sa.text("released_at IS NULL")
_UNRESOLVED = sa.text("status <> 'resolved'")


def upgrade() -> None:
    op.create_table(
        "fraud_reviews",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum(*FRAUD_VERDICTS, name="fraud_verdict", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_fraud_reviews_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fraud_reviews")),
        sa.UniqueConstraint("brand_id", "source", "subject", name=op.f("uq_fraud_reviews_brand_id_source_subject")),
    )
    op.create_index(
        "ix_fraud_reviews_open",
        "fraud_reviews",
        ["brand_id", "score"],
        unique=False,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "order_holds",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel", sa.String(length=128), nullable=False),
        sa.Column("order_number", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("held_at", UtcDateTime(), nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("released_by", sa.String(), nullable=True),
        sa.Column("release_note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_order_holds_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_holds")),
    )
    op.create_index(
        "uq_order_holds_held",
        "order_holds",
        ["brand_id", "channel", "order_number"],
        unique=True,
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )
    _widen_alerts()


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
