"""Day indexes of the two big tables: BRIN on PostgreSQL, which SQLite does not have."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table in ("order_lines", "stock_movements"):
        name = f"ix_{table}_day"
        op.drop_index(name, table_name=table)
        op.create_index(
            name,
            table,
            ["brand_id", "local_date"],
            unique=False,
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},
        )
