"""Column types and the declarative base shared by every model.

Belongs here: how a value is kept in SQLite and in PostgreSQL. Does not belong here: any table.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Enum, ForeignKey, Index, Integer, MetaData, Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Refuses naive values; always returned in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; give an instant such as datetime.now(UTC)")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """NUMERIC(28, 12); text in SQLite, which would make it a float."""

    impl = Numeric(28, 12)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric(28, 12))

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> Any:
        return format(value, "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


class Base(DeclarativeBase):
    """Every table of the store."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        Decimal: ExactDecimal,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


# SQLite numbers rows by itself only for a column declared INTEGER.
big_integer = BigInteger().with_variant(Integer, "sqlite")
Id = Annotated[int, mapped_column(big_integer, primary_key=True, autoincrement=True)]
MinorUnits = Annotated[int, mapped_column(BigInteger)]
Currency = Annotated[str, mapped_column(String(3))]
Code = Annotated[str, mapped_column(String(128))]


def refers_to(column: str) -> Any:
    """A foreign key to `table.id`; several may name one table, so the annotation cannot hold it."""
    return mapped_column(big_integer, ForeignKey(column))


def names(column: str, doc: str = "") -> Any:
    """Like `refers_to`, but unchecked: for tables of millions of rows, written in bulk with ids looked up just before.

    A foreign key is looked up once a row, which doubles the time of a bulk insert.
    """
    return mapped_column(big_integer, doc=f"{doc or 'Id'} (of {column}, unchecked)")


def one_of(name: str, *values: str, checked: bool = True) -> Any:
    """A short string that a CHECK constraint holds to `values`; unchecked for the tables that are written in bulk."""
    return mapped_column(Enum(*values, name=name, native_enum=False, create_constraint=checked, length=32))


def days_index(name: str) -> Index:
    """Finds the rows of a brand's days in a table of millions that is written day after day.

    On PostgreSQL it notes for each stretch of the table which days are in it: it costs a thousandth of a B-tree's pages.
    """
    return Index(name, "brand_id", "local_date", postgresql_using="brin", postgresql_with={"autosummarize": "on"})
