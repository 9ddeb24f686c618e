"""A table with columns of many types, to test pages with."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import BigInteger, Float, MetaData, Numeric, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db.base import UTCDateTime
from app.schemas.page import PageParams


class ThingBase(DeclarativeBase):
    metadata = MetaData()  # not that of the service: migrations don't know this table
    type_annotation_map: dict[Any, Any] = {datetime: UTCDateTime}  # noqa: RUF012 -- SQLAlchemy's own form


class Thing(ThingBase):
    """Has a column of each type, with and without NULLs."""

    __tablename__ = "things"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(20))
    text_or_null: Mapped[str | None] = mapped_column(String(20))
    number_or_null: Mapped[int | None] = mapped_column(BigInteger)
    decimal_or_null: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    float_or_null: Mapped[float | None] = mapped_column(Float(53))
    time: Mapped[datetime]
    time_or_null: Mapped[datetime | None]
    flag: Mapped[bool]
    flag_or_null: Mapped[bool | None]


SORT_COLUMNS = {
    column.key: getattr(Thing, column.key)
    for column in Thing.__table__.columns
    if column.key != "id"
}


class ThingParams(PageParams):
    sort: Literal[
        "text", "text_or_null", "number_or_null", "decimal_or_null", "float_or_null",
        "time", "time_or_null", "flag", "flag_or_null",
        "-text", "-text_or_null", "-number_or_null", "-decimal_or_null", "-float_or_null",
        "-time", "-time_or_null", "-flag", "-flag_or_null",
    ]  # fmt: skip


SORTS = get_args(ThingParams.model_fields["sort"].annotation)
