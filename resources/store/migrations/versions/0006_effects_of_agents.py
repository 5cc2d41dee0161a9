"""Effects of agents, each kept once under its key; what channels tell about a SKU; reversals; the newest audit row."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer

revision = "0006"
down_revision = "0005"

_KEYED, _REVERSAL = sa.text("key IS NOT NULL"), sa.text("reversal_of IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "effects",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("method", sa.String(length=128), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_effects_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_effects")),
        sa.UniqueConstraint("brand_id", "key", name=op.f("uq_effects_brand_id_key")),
    )
    op.create_index("ix_audit_log_newest", "audit_log", ["brand_id", "id"], unique=False)
    op.add_column("skus", sa.Column("description", sa.Text(), nullable=True))
    op.add_column("skus", sa.Column("label", sa.String(), nullable=True))
    op.add_column("skus", sa.Column("reorder_quantity", sa.Integer(), nullable=True))
    op.add_column("transactions", sa.Column("key", sa.String(length=255), nullable=True))
    op.add_column("transactions", sa.Column("reversal_of", big_integer, nullable=True))
    for name, columns, where in (
        ("uq_transactions_key", ["brand_id", "key"], _KEYED),
        ("uq_transactions_reversal_of", ["reversal_of"], _REVERSAL),
    ):
        op.create_index(name, "transactions", columns, unique=True, sqlite_where=where, postgresql_where=where)
