"""Sealed fields and their keys."""

import sqlalchemy as sa
from alembic import op

from resources.store.types import UtcDateTime, big_integer
from resources.store.vocabulary import VAULT_KEY_STATES

revision = "0012"
down_revision = "0011"

_ACTIVE = sa.text("state = 'active'")


def upgrade() -> None:
    op.create_table(
        "vault_keys",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*VAULT_KEY_STATES, name="vault_key_state", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("wrapped_with", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        sa.Column("destroyed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_keys")),
        sa.UniqueConstraint("key_id", name=op.f("uq_vault_keys_key_id")),
    )
    op.create_index(
        "uq_vault_keys_active", "vault_keys", ["state"], unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE
    )
    # What was there before is sealed by the next `luxauto vault rotate`: the keys are not the migration's to use.
    op.add_column("customer_profiles", sa.Column("key_id", sa.String(length=32), nullable=True))
    op.add_column("channel_connections", sa.Column("key_id", sa.String(length=32), nullable=True))
