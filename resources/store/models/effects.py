"""What agents have done, so that a call which is repeated does nothing more."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.store.types import Base, Code, Id, refers_to


class Effect(Base):
    """The first result of a call, written in the transaction of the deed. A transaction keeps its key on its own row."""

    __tablename__ = "effects"
    __table_args__ = (UniqueConstraint("brand_id", "key"),)

    id: Mapped[Id]
    brand_id: Mapped[int] = refers_to("brands.id")
    key: Mapped[str] = mapped_column(String(255), doc="Idempotency key of the call")
    method: Mapped[Code]
    result: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime]
