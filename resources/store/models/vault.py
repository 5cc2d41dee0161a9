"""The data keys with which personal data and credentials are sealed, each encrypted by a key that is not in the store."""

from datetime import datetime

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Id, one_of
from resources.store.vocabulary import VAULT_KEY_STATES

_ACTIVE = text("state = 'active'")


class VaultKey(Base):
    """One data key of the installation. The active one seals; a retired one opens until nothing is sealed with it."""

    __tablename__ = "vault_keys"
    __table_args__ = (
        Index("uq_vault_keys_active", "state", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    )

    id: Mapped[Id]
    key_id: Mapped[str] = mapped_column(String(32), unique=True)
    state: Mapped[str] = one_of("vault_key_state", *VAULT_KEY_STATES)
    wrapped: Mapped[str] = mapped_column(Text, doc="Encrypted; empty where the key was destroyed")
    wrapped_with: Mapped[str] = mapped_column(String(64), doc="Name of the key that encrypts it")
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    destroyed_at: Mapped[datetime | None]
