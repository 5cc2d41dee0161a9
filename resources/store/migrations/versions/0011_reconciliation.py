"""Statements of processors and banks, payouts, matches, and suppliers' invoices."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer
from resources.store.vocabulary import INVOICE_RESULTS, SETTLEMENT_KINDS

revision = "0011"
down_revision = "0010"

_UNDONE = sa.text("undoes IS NOT NULL")


def upgrade() -> None:
    _create_statements()
    _create_matches()
    _create_invoices()


def _create_statements() -> None:
    op.create_table(
        "statement_files",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=False),
        sa.Column("rows_new", sa.Integer(), nullable=False),
        sa.Column("rows_known", sa.Integer(), nullable=False),
        sa.Column("rows_aside", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_statement_files_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_files")),
    )
    op.create_table(
        "settlement_lines",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("file_id", big_integer, nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("processor", sa.String(length=128), nullable=False),
        sa.Column("line_key", sa.String(length=255), nullable=False),
        sa.Column("payout_ref", sa.String(), nullable=True),
        sa.Column(
            "kind", sa.Enum(*SETTLEMENT_KINDS, name="settlement_kind", native_enum=False, length=32), nullable=False
        ),
        sa.Column("order_ref", sa.String(), nullable=True),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("original_id", sa.String(), nullable=True),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("available_on", sa.Date(), nullable=True),
        sa.Column("gross_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("net_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("presentment_minor", sa.BigInteger(), nullable=True),
        sa.Column("presentment_currency", sa.String(length=3), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement_lines")),
        sa.UniqueConstraint(
            "brand_id", "processor", "line_key", name=op.f("uq_settlement_lines_brand_id_processor_line_key")
        ),
    )
    op.create_index(
        "ix_settlement_lines_payout", "settlement_lines", ["brand_id", "processor", "payout_ref"], unique=False
    )
    op.create_table(
        "payouts",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("processor", sa.String(length=128), nullable=False),
        sa.Column("payout_ref", sa.String(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("paid_on", sa.Date(), nullable=True),
        sa.Column("pooled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_payouts_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
        sa.UniqueConstraint(
            "brand_id",
            "processor",
            "payout_ref",
            "currency",
            name=op.f("uq_payouts_brand_id_processor_payout_ref_currency"),
        ),
    )
    op.create_table(
        "bank_statements",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("file_id", big_integer, nullable=False),
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("account_hash", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("opening_minor", sa.BigInteger(), nullable=True),
        sa.Column("closing_minor", sa.BigInteger(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_bank_statements_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["file_id"], ["statement_files.id"], name=op.f("fk_bank_statements_file_id_statement_files")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_statements")),
        sa.UniqueConstraint(
            "brand_id",
            "account_hash",
            "number",
            "opened_on",
            "closed_on",
            name=op.f("uq_bank_statements_brand_id_account_hash_number_opened_on_closed_on"),
        ),
    )
    op.create_table(
        "bank_lines",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("file_id", big_integer, nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("account_hash", sa.String(length=64), nullable=False),
        sa.Column("line_key", sa.String(length=255), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("counterparty", sa.String(), nullable=True),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("end_to_end_id", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_lines")),
        sa.UniqueConstraint(
            "brand_id", "account_hash", "line_key", name=op.f("uq_bank_lines_brand_id_account_hash_line_key")
        ),
    )


def _create_matches() -> None:
    op.create_table(
        "matches",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("undoes", big_integer, nullable=True),
        sa.Column("settlement_line_id", big_integer, nullable=True),
        sa.Column("bank_line_id", big_integer, nullable=True),
        sa.Column("order_id", big_integer, nullable=True),
        sa.Column("payout_id", big_integer, nullable=True),
        sa.Column("pool", sa.String(length=32), nullable=True),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("order_amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("order_currency", sa.String(length=3), nullable=True),
        sa.Column("flag", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["undoes"], ["matches.id"], name=op.f("fk_matches_undoes_matches")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_matches")),
    )
    op.create_index("ix_matches_brand", "matches", ["brand_id", "id"], unique=False)
    op.create_index(
        "uq_matches_undoes", "matches", ["undoes"], unique=True, sqlite_where=_UNDONE, postgresql_where=_UNDONE
    )


def _create_invoices() -> None:
    op.create_table(
        "supplier_invoices",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("supplier", sa.String(length=128), nullable=False),
        sa.Column("number", sa.String(length=128), nullable=False),
        sa.Column("order_number", sa.String(), nullable=True),
        sa.Column("invoiced_on", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("goods_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column(
            "result",
            sa.Enum(*INVOICE_RESULTS, name="invoice_result", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_supplier_invoices_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplier_invoices")),
        sa.UniqueConstraint(
            "brand_id", "supplier", "number", name=op.f("uq_supplier_invoices_brand_id_supplier_number")
        ),
    )
    op.create_table(
        "supplier_invoice_lines",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("invoice_id", big_integer, nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_micros", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_supplier_invoice_lines_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["invoice_id"],
            ["supplier_invoices.id"],
            name=op.f("fk_supplier_invoice_lines_invoice_id_supplier_invoices"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplier_invoice_lines")),
        sa.UniqueConstraint("invoice_id", "line_number", name=op.f("uq_supplier_invoice_lines_invoice_id_line_number")),
    )
