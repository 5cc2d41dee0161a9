"""What stock is worth: values of movements, and the layers that are left."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import big_integer
from resources.store.vocabulary import COSTING_METHODS

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "stock_valuations",
        sa.Column("movement_id", big_integer, autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("value_minor", sa.BigInteger(), nullable=True),
        sa.Column("variance_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column(
            "method", sa.Enum(*COSTING_METHODS, name="costing_method", native_enum=False, length=32), nullable=False
        ),
        sa.PrimaryKeyConstraint("movement_id", "part", name=op.f("pk_stock_valuations")),
    )
    op.create_table(
        "stock_layers",
        sa.Column("sku_id", big_integer, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("value_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "position", name=op.f("pk_stock_layers")),
    )
