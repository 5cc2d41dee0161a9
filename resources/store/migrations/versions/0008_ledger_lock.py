"""The journal locks itself: entries balance, are sealed, chained and never changed; months can be closed."""

import sqlalchemy as sa
from alembic import op

from resources.store.bulk import read_frame
from resources.store.ledger_chain import ENTRY, FIRST_HASH, chained, read_legs
from resources.store.types import UtcDateTime, big_integer

revision = "0008"
down_revision = "0007"

_APPEND_ONLY = ("journal_entries", "postings")
_UNBALANCED = "an entry does not sum to zero in a currency"
_UNBALANCED_BASE = "an entry does not sum to zero in the base currency"
_SEALED = "an entry that stands takes no further postings"
_EMPTY = "an entry needs its postings before it"
_CLOSED = "the month is closed"
_SQLITE = (
    f"""
    CREATE TRIGGER postings_sealed BEFORE INSERT ON postings
    WHEN EXISTS (SELECT 1 FROM journal_entries WHERE id = NEW.entry_id)
    BEGIN SELECT RAISE(ABORT, '{_SEALED}'); END
    """,
    f"""
    CREATE TRIGGER journal_entries_balanced BEFORE INSERT ON journal_entries BEGIN
        SELECT CASE
            WHEN count(*) = 0 THEN RAISE(ABORT, '{_EMPTY}')
            WHEN sum(base) <> 0 THEN RAISE(ABORT, '{_UNBALANCED_BASE}')
            WHEN sum(amount <> 0) > 0 THEN RAISE(ABORT, '{_UNBALANCED}')
        END
        FROM (
            SELECT sum(amount_minor) AS amount, coalesce(sum(base_amount_minor), 0) AS base
            FROM postings WHERE entry_id = NEW.id GROUP BY currency
        );
    END
    """,
    f"""
    CREATE TRIGGER journal_entries_open BEFORE INSERT ON journal_entries
    WHEN EXISTS (
        SELECT 1 FROM accounting_periods
        WHERE brand_id = NEW.brand_id AND status = 'closed' AND month = date(NEW.entry_date, 'start of month')
    )
    BEGIN SELECT RAISE(ABORT, '{_CLOSED}'); END
    """,
)
_POSTGRES = (
    f"""
    CREATE FUNCTION luxauto_postings_balance() RETURNS trigger AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM added GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0) THEN
            RAISE EXCEPTION '{_UNBALANCED}' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (SELECT 1 FROM added GROUP BY entry_id HAVING sum(base_amount_minor) <> 0) THEN
            RAISE EXCEPTION '{_UNBALANCED_BASE}' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (SELECT 1 FROM added JOIN journal_entries e ON e.id = added.entry_id) THEN
            RAISE EXCEPTION '{_SEALED}' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$ LANGUAGE plpgsql
    """,
    """
    CREATE TRIGGER postings_balance AFTER INSERT ON postings REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION luxauto_postings_balance()
    """,
    f"""
    CREATE FUNCTION luxauto_entries_seal() RETURNS trigger AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM added WHERE NOT EXISTS (SELECT 1 FROM postings p WHERE p.entry_id = added.id)) THEN
            RAISE EXCEPTION '{_EMPTY}' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (
            SELECT 1 FROM added JOIN accounting_periods p ON p.brand_id = added.brand_id
            WHERE p.status = 'closed' AND p.month = date_trunc('month', added.entry_date)
        ) THEN
            RAISE EXCEPTION '{_CLOSED}' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$ LANGUAGE plpgsql
    """,
    """
    CREATE TRIGGER journal_entries_seal AFTER INSERT ON journal_entries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION luxauto_entries_seal()
    """,
    """
    CREATE FUNCTION luxauto_append_only() RETURNS trigger AS $$ BEGIN
        RAISE EXCEPTION '% is append only: a correction is a further entry', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END $$ LANGUAGE plpgsql
    """,
)


def upgrade() -> None:
    _make_periods()
    _widen()
    _chain_what_stands()
    with op.batch_alter_table("journal_entries") as table:
        for name in ("event_date", "kind", "previous_hash", "hash"):
            table.alter_column(name, nullable=False)
    op.create_index("ix_journal_entries_event_day", "journal_entries", ["brand_id", "event_date"])
    op.create_index("ix_journal_entries_newest", "journal_entries", ["brand_id", "id"])
    _lock()


def _make_periods() -> None:
    op.create_table(
        "accounting_periods",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "closed", name="period_status", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_accounting_periods_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounting_periods")),
        sa.UniqueConstraint("brand_id", "month", name=op.f("uq_accounting_periods_brand_id_month")),
    )


def _widen() -> None:
    for column in (
        sa.Column("event_date", sa.Date(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=True),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("channel", sa.String(length=128), nullable=True),
        sa.Column("previous_hash", sa.String(length=64), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
    ):
        op.add_column("journal_entries", column)
    for name in ("rate_numerator", "rate_denominator"):
        op.add_column("postings", sa.Column(name, sa.BigInteger(), nullable=True))


def _chain_what_stands() -> None:
    """Entries from before the chain are chained as they stand now."""
    connection = op.get_bind()
    op.execute(
        "UPDATE journal_entries SET event_date = entry_date, "
        "kind = CASE WHEN order_id IS NULL THEN 'manual' ELSE 'order' END"
    )
    statement = sa.text("UPDATE journal_entries SET previous_hash = :previous, hash = :hash WHERE id = :id")
    for (brand,) in connection.execute(sa.text("SELECT DISTINCT brand_id FROM journal_entries")).fetchall():
        query = f"SELECT {', '.join(ENTRY)} FROM journal_entries WHERE brand_id = :brand ORDER BY id"
        entries = read_frame(connection, query, ENTRY, {"brand": brand})
        legs = read_legs(connection, brand, 0, entries["id"][-1])
        hashes = chained(FIRST_HASH, entries, legs)["hash"].to_list()
        previous = [FIRST_HASH, *hashes[:-1]]
        rows = zip(entries["id"].to_list(), previous, hashes, strict=True)
        connection.execute(statement, [{"id": i, "previous": p, "hash": h} for i, p, h in rows])


def _lock() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.execute(statement)
        for table in _APPEND_ONLY:
            for deed in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append only: a correction is a further entry'); END"
                )
        return
    for statement in _POSTGRES:
        op.execute(statement)
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION luxauto_append_only()"
        )
