"""Keyset pages: page 1,000 costs what page 1 costs, and rows that come and go hide no others."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from app.core.cursor import Position


def keyset_page(
    statement: Select[Any],
    column: InstrumentedAttribute[Any],
    id_column: InstrumentedAttribute[UUID],
    *,
    descending: bool,
    after: Position | None,
) -> Select[Any]:
    """Sort by *column*, then by id, and begin after a position. An index on both makes it fast."""
    key = tuple_(column, id_column)
    if after is not None:
        position = tuple_(literal(after.value, column.type), literal(after.id, id_column.type))
        statement = statement.where(key < position if descending else key > position)
    if descending:
        return statement.order_by(column.desc(), id_column.desc())
    return statement.order_by(column, id_column)
