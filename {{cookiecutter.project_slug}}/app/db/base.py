"""The declarative base of all models."""

import enum
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, DateTime, Enum, MetaData, Table, event
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator
from uuid_utils.compat import uuid7

# Constraints with known names can be dropped by a migration and recognised in an error.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def utc_now() -> datetime:
    return datetime.now(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time with a time zone. SQLite stores no zone, so values there are in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime needs a time zone: use utc_now()")
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _values(members: Iterable[enum.Enum]) -> list[str]:
    values = [member.value for member in members]
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"values of {members} must be strings; numbers belong in an integer column")
    return values


# Text with the values (not the names) of an enum or a literal, the same on every database. The
# length is fixed, so that a longer value needs no other type.
_TEXT_OF_ENUM = Enum(
    enum.Enum, native_enum=False, length=50, values_callable=_values, validate_strings=True
)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: dict[Any, Any] = {
        datetime: UTCDateTime,
        enum.Enum: _TEXT_OF_ENUM,
        Literal: _TEXT_OF_ENUM,
    }


@event.listens_for(Column, "after_parent_attach")
def _check_values_of_enum(column: Column[Any], table: Table) -> None:
    """Add a CHECK constraint, named after the column, to a column with an enum."""
    if table.metadata is Base.metadata and isinstance(column.type, Enum):
        if column.type.native_enum:
            raise TypeError(
                f"{table.name}.{column.name}: leave out the column type Enum and write "
                "`Mapped[Status]` alone, which is stored as text on every database"
            )
        is_known = column.in_(column.type.enums)
        table.append_constraint(CheckConstraint(is_known, name=column.name))


class UUIDMixin:
    """A primary key that is unguessable, and in order of creation, so that indexes grow at one end."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-1)
    """UUIDv7 (RFC 9562)."""


class CreatedAtMixin:
    created_at: Mapped[datetime] = mapped_column(default=utc_now, sort_order=100)
