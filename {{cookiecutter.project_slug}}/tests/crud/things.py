"""A table with columns of many types, to test pages with."""

import enum
from datetime import date, datetime, timedelta
from datetime import time as hour
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    Interval,
    MetaData,
    Numeric,
    Select,
    String,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db.base import Base
from app.schemas.base import ResponseSchema
from app.schemas.page import PageParams


class ThingBase(DeclarativeBase):
    metadata = MetaData()  # not that of the service: migrations don't know this table
    type_annotation_map = Base.type_annotation_map


class Colour(enum.StrEnum):
    RED = "red"
    DARK_BLUE = "dark blue"


# An order in which different texts are equal.
IGNORES_CASE = String(20).with_variant(String(20, collation="NOCASE"), "sqlite")


class Owner(ThingBase):
    """Not every thing has one, so an outer join gives NULL for its name."""

    __tablename__ = "test_owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Thing(ThingBase):
    """Has a column of each type, with and without NULLs."""

    __tablename__ = "test_things"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("test_owners.id"))
    text: Mapped[str] = mapped_column(String(20))
    text_or_null: Mapped[str | None] = mapped_column(String(20))
    collated_or_null: Mapped[str | None] = mapped_column(IGNORES_CASE)
    number_or_null: Mapped[int | None] = mapped_column(BigInteger)
    decimal_or_null: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    float_or_null: Mapped[float | None] = mapped_column(Float(53))
    short_float_or_null: Mapped[float | None] = mapped_column(Float(24))
    time: Mapped[datetime]
    time_or_null: Mapped[datetime | None]
    date_or_null: Mapped[date | None]
    hour_or_null: Mapped[hour | None]
    duration_or_null: Mapped[timedelta | None] = mapped_column(Interval)
    uuid_or_null: Mapped[UUID | None]
    flag: Mapped[bool]
    flag_or_null: Mapped[bool | None]
    colour: Mapped[Colour]
    colour_or_null: Mapped[Colour | None]
    size_or_null: Mapped[Literal["m", "s"] | None]


class Number(ThingBase):
    """Has an integer key."""

    __tablename__ = "test_numbers"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(20))


SORT_COLUMNS: dict[str, Any] = {
    column.key: getattr(Thing, column.key)
    for column in Thing.__table__.columns
    if column.key not in {"id", "owner_id"}
} | {
    "owner": Owner.name,
    "length": Thing.text.concat("x"),
    "flag,text": (Thing.flag, Thing.text),
    "colour,text_or_null": [Thing.colour_or_null, Thing.text_or_null],
}
SORTS = [f"{sign}{name}" for name in SORT_COLUMNS for sign in ("", "-")]


class ThingRead(ResponseSchema):
    id: UUID


def list_things() -> Select[UUID]:
    return select(Thing.id).outerjoin(Owner)


class ThingParams(PageParams):
    """Any of SORTS."""
