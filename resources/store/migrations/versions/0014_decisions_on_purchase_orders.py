"""Who decided on a purchase order, when it went out, why a line was proposed; alerts that look ahead."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime
from resources.store.vocabulary import ALERT_KINDS

revision = "0014"
down_revision = "0013"

_UNRESOLVED = sa.text("status <> 'resolved'")


def upgrade() -> None:
    op.add_column("purchase_orders", sa.Column("decided_at", UtcDateTime(), nullable=True))
    op.add_column("purchase_orders", sa.Column("decided_by", sa.String(length=255), nullable=True))
    op.add_column("purchase_orders", sa.Column("decision_reason", sa.String(), nullable=True))
    op.add_column("purchase_orders", sa.Column("ordered_on", sa.Date(), nullable=True))
    op.add_column("purchase_order_lines", sa.Column("reason", sa.String(), nullable=True))
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
