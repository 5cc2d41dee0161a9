"""Workflows, the gateway's memory, alerts about other things than SKUs, and the audit log as a chain of hashes."""

import sqlalchemy as sa
from alembic import op

from resources.store.audit import FIRST_HASH, chain_hash
from resources.store.types import UtcDateTime, big_integer
from resources.store.vocabulary import ALERT_KINDS

revision = "0005"
down_revision = "0004"

_UNRESOLVED = sa.text("status <> 'resolved'")


def upgrade() -> None:
    _create_workflows()
    _create_gateway_memory()
    _widen_alerts()
    _chain_the_audit_log()


def _widen_alerts() -> None:
    op.drop_index("uq_alerts_unresolved", "alerts")
    with op.batch_alter_table("alerts") as table:
        table.drop_constraint(op.f("ck_alerts_alert_kind"), type_="check")
        table.add_column(sa.Column("subject", sa.String(), nullable=True))
        table.add_column(sa.Column("acknowledged_at", UtcDateTime(), nullable=True))
        table.add_column(sa.Column("acknowledged_by", sa.String(), nullable=True))
        table.add_column(sa.Column("resolved_by", sa.String(), nullable=True))
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


def _create_workflows() -> None:
    op.create_table(
        "webhook_subscriptions",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("kinds", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_webhook_subscriptions_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_subscriptions")),
        sa.UniqueConstraint("key", name=op.f("uq_webhook_subscriptions_key")),
    )
    op.create_table(
        "workflows",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "running",
                "waiting",
                "paused",
                "cancelling",
                "compensating",
                "completed",
                "failed",
                "cancelled",
                "needs_attention",
                name="workflow_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column(
            "run_role",
            sa.Enum(
                "forward",
                "compensation",
                name="workflow_run_role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("ends_as", sa.String(), nullable=True),
        sa.Column("rolled_back", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_workflows_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
        sa.UniqueConstraint("key", name=op.f("uq_workflows_key")),
    )
    op.create_index("ix_workflows_state", "workflows", ["brand_id", "state"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("workflow_id", big_integer, nullable=False),
        sa.Column("step", sa.String(length=128), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "approved",
                "rejected",
                "expired",
                name="approval_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("comment", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_approvals_brand_id_brands")),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_approvals_workflow_id_workflows")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("workflow_id", "step", name=op.f("uq_approvals_workflow_id_step")),
    )
    op.create_table(
        "workflow_events",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("workflow_id", big_integer, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("step", sa.String(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_workflow_events_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name=op.f("fk_workflow_events_workflow_id_workflows")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_events")),
        sa.UniqueConstraint("workflow_id", "sequence", name=op.f("uq_workflow_events_workflow_id_sequence")),
    )
    op.create_table(
        "workflow_steps",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("workflow_id", big_integer, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "intent",
                "done",
                "failed",
                "failed_allowed",
                "skipped",
                "compensating",
                "compensated",
                "compensation_failed",
                name="step_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("undo_attempts", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_workflow_steps_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name=op.f("fk_workflow_steps_workflow_id_workflows")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_steps")),
        sa.UniqueConstraint("workflow_id", "name", name=op.f("uq_workflow_steps_workflow_id_name")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("subscription_id", big_integer, nullable=False),
        sa.Column("event_id", big_integer, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "delivered",
                "failed",
                name="delivery_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("last_answer", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_webhook_deliveries_brand_id_brands")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["workflow_events.id"], name=op.f("fk_webhook_deliveries_event_id_workflow_events")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["webhook_subscriptions.id"],
            name=op.f("fk_webhook_deliveries_subscription_id_webhook_subscriptions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("subscription_id", "event_id", name=op.f("uq_webhook_deliveries_subscription_id_event_id")),
    )
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["state", "next_at"], unique=False)


def _create_gateway_memory() -> None:
    op.create_table(
        "revoked_tokens",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("token_id", sa.String(length=255), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_by", sa.String(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revoked_tokens")),
        sa.UniqueConstraint("token_id", name=op.f("uq_revoked_tokens_token_id")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("route", sa.String(length=512), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_idempotency_keys_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
        sa.UniqueConstraint(
            "brand_id", "principal", "route", "key", name=op.f("uq_idempotency_keys_brand_id_principal_route_key")
        ),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"], unique=False)
    op.create_table(
        "inbox_messages",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("channel", sa.String(length=128), nullable=False),
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "received",
                "processed",
                "failed",
                name="inbox_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("processed_at", UtcDateTime(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_inbox_messages_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_messages")),
        sa.UniqueConstraint(
            "brand_id", "channel", "external_id", name=op.f("uq_inbox_messages_brand_id_channel_external_id")
        ),
    )
    op.create_index("ix_inbox_messages_state", "inbox_messages", ["brand_id", "state"], unique=False)
    op.create_table(
        "spending",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("brand_id", big_integer, nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_spending_brand_id_brands")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spending")),
        sa.UniqueConstraint("brand_id", "principal", "day", name=op.f("uq_spending_brand_id_principal_day")),
    )


def _chain_the_audit_log() -> None:
    with op.batch_alter_table("audit_log") as table:
        table.add_column(sa.Column("outcome", sa.String(), nullable=False, server_default="success"))
        table.add_column(sa.Column("request_id", sa.String(), nullable=True))
        table.add_column(sa.Column("address", sa.String(), nullable=True))
        table.add_column(sa.Column("previous_hash", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("hash", sa.String(length=64), nullable=True))
    _hash_earlier_rows(op.get_bind())
    with op.batch_alter_table("audit_log") as table:
        table.alter_column("outcome", server_default=None)
        table.alter_column(
            "previous_hash",
            nullable=False,
        )
        table.alter_column(
            "hash",
            nullable=False,
        )
        table.create_unique_constraint(op.f("uq_audit_log_brand_id_previous_hash"), ["brand_id", "previous_hash"])
    _refuse_changes_of_the_audit_log(op.get_bind().dialect.name)


def _hash_earlier_rows(connection: sa.Connection) -> None:
    heads: dict[int | None, str] = {}
    columns = "brand_id, at, actor, action, subject, outcome, request_id, address, details"
    for number, *row in connection.execute(sa.text(f"SELECT id, {columns} FROM audit_log ORDER BY id")).fetchall():
        previous = heads.get(row[0], FIRST_HASH)
        heads[row[0]] = chain_hash(previous, tuple(row))
        connection.execute(
            sa.text("UPDATE audit_log SET previous_hash = :previous, hash = :hash WHERE id = :id"),
            {"previous": previous, "hash": heads[row[0]], "id": number},
        )


def _refuse_changes_of_the_audit_log(dialect: str) -> None:
    if dialect == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_log_refuses_{verb.lower()} BEFORE {verb} ON audit_log "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_audit_log_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_refuses_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_log_change()"
    )
