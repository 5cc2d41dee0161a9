"""Ledger and exchange rates."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import ExactDecimal, UtcDateTime, big_integer

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "type",
            sa.Enum(
                "asset",
                "liability",
                "equity",
                "revenue",
                "expense",
                name="account_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_accounts_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_accounts_brand_id_code")),
    )
    op.create_table(
        "fx_rates",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("base", sa.String(length=3), nullable=False),
        sa.Column("quote", sa.String(length=3), nullable=False),
        sa.Column("rate_date", sa.Date(), nullable=False),
        sa.Column("rate", ExactDecimal(), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_fx_rates_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fx_rates")),
        sa.UniqueConstraint(
            "brand_id",
            "base",
            "quote",
            "rate_date",
            "source",
            name=op.f("uq_fx_rates_brand_id_base_quote_rate_date_source"),
        ),
    )
    op.create_table(
        "postings",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("entry_id", big_integer, nullable=False),
        sa.Column("account_id", big_integer, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("base_amount_minor", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_postings_account_id_accounts")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_postings_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
    )
    op.create_index("ix_postings_entry", "postings", ["entry_id"], unique=False)
    op.create_table(
        "journal_entries",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("entry_date", sa.Date(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("order_id", big_integer, nullable=True),
        sa.Column("reversal_of", big_integer, nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_journal_entries_brand_id_brands")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_journal_entries_order_id_orders")),
        sa.ForeignKeyConstraint(
            ["reversal_of"], ["journal_entries.id"], name=op.f("fk_journal_entries_reversal_of_journal_entries")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint("brand_id", "key", name=op.f("uq_journal_entries_brand_id_key")),
    )
    op.create_index("ix_journal_entries_day", "journal_entries", ["brand_id", "entry_date"], unique=False)
    op.create_index("ix_journal_entries_order", "journal_entries", ["order_id"], unique=False)
    op.create_table(
        "transactions",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column(
            "type",
            sa.Enum(
                "sale",
                "refund",
                "purchase",
                "adjustment",
                "transfer",
                "expense",
                "revenue",
                name="transaction_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("order_id", big_integer, nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_transactions_brand_id_brands")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_transactions_order_id_orders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint("brand_id", "order_id", "type", name=op.f("uq_transactions_brand_id_order_id_type")),
    )
