"""Exchange rates keep what they were before a correction."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import ExactDecimal, UtcDateTime, big_integer

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "fx_rate_corrections",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("base", sa.String(length=3), nullable=False),
        sa.Column("quote", sa.String(length=3), nullable=False),
        sa.Column("rate_date", sa.Date(), nullable=False),
        sa.Column("rate", ExactDecimal(), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.Column("replaced_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_fx_rate_corrections_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fx_rate_corrections")),
    )
    op.create_index("ix_fx_rate_corrections_day", "fx_rate_corrections", ["brand_id", "rate_date"])
    op.create_index("ix_fx_rates_day", "fx_rates", ["brand_id", "rate_date"])
