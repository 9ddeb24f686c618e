"""Keyset pagination: page 1,000 costs what page 1 costs, and rows that are added or removed between
pages neither repeat nor hide others.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python
from sqlalchemy import ColumnElement, Select, and_, literal, or_, tuple_
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import InstrumentedAttribute

from app.core.exceptions import InvalidCursorError
from app.db.session import ReadSession
from app.schemas.page import PageParams

Item = TypeVar("Item", bound=BaseModel)
Column = InstrumentedAttribute[Any]


@dataclass(frozen=True)
class FetchedPage(Generic[Item]):
    items: list[Item]
    next_cursor: str | None


async def fetch_page(
    reader: ReadSession,
    schema: type[Item],
    statement: Select[*tuple[Any, ...]],
    params: PageParams,
    *,
    sort_columns: Mapping[str, Column],
    id_column: Column,
) -> FetchedPage[Item]:
    """Fetch one page of *statement*, whose columns are those of *schema*, as `params` say.

    *sort_columns* maps the names that a client may sort by to columns; a leading `-` means
    descending. Rows with equal values are sorted by *id_column*: an index on both makes every page
    fast. NULLs come last, or first in descending order, on every database.

    Raises InvalidCursorError for a cursor that this list didn't return for this order.
    """
    descending = params.sort.startswith("-")
    column = sort_columns[params.sort.removeprefix("-")]
    if params.cursor is not None:
        value, id_ = _decode_cursor(params.cursor, params.sort, column, id_column)
        statement = statement.where(_is_behind(column, id_column, value, id_, descending))
    order = column.desc() if descending else column.asc()
    if _is_nullable(column):
        order = order.nulls_first() if descending else order.nulls_last()
    statement = statement.order_by(order, id_column.desc() if descending else id_column.asc())
    try:
        # One extra row shows whether there is a next page.
        items = await reader.all_as(schema, statement.limit(params.limit + 1))
    except (StatementError, ValueError, OverflowError) as error:
        if params.cursor is None:
            raise
        # A value of the right type that the database or its driver can't compare with.
        raise InvalidCursorError from error
    if len(items) <= params.limit:
        return FetchedPage(items, None)
    last = items[params.limit - 1]
    cursor = _encode_cursor(params.sort, getattr(last, column.key), getattr(last, id_column.key))
    return FetchedPage(items[: params.limit], cursor)


def _is_behind(
    column: Column, id_column: Column, value: Any, id_: Any, descending: bool
) -> ColumnElement[bool]:
    """Select the rows that come after the row with *value* and *id_*."""
    if value is None:
        behind = id_column < id_ if descending else id_column > id_
        is_next_null = and_(column.is_(None), behind)
        return or_(is_next_null, column.is_not(None)) if descending else is_next_null
    key = tuple_(column, id_column)
    position = tuple_(literal(value, column.type), literal(id_, id_column.type))
    if descending:
        return key < position
    return or_(key > position, column.is_(None)) if _is_nullable(column) else key > position


def _is_nullable(column: Column) -> bool:
    return bool(getattr(column.expression, "nullable", True))


def _encode_cursor(sort: str, value: Any, id_: Any) -> str:
    # Without ASCII escapes, which take six characters each: the length of a cursor is limited.
    text = json.dumps([sort, *to_jsonable_python([value, id_])], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, sort: str, column: Column, id_column: Column) -> tuple[Any, Any]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        cursor_sort, value, id_ = json.loads(text)
        if cursor_sort != sort:
            raise InvalidCursorError
        return _parse(column, value), _parse(id_column, id_)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidCursorError from error


def _parse(column: Column, value: Any) -> Any:
    if value is None and _is_nullable(column):
        return None
    return TypeAdapter(column.type.python_type).validate_python(value)
