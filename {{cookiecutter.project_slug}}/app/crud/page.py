"""Keyset pagination: page 1,000 costs what page 1 costs, and rows that are added or removed between
pages neither repeat nor hide others.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python
from sqlalchemy import ColumnElement, Float, Select, and_, cast, false, literal, or_, tuple_
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import InstrumentedAttribute

from app.core.exceptions import InvalidCursorError
from app.db.session import ReadSession, make_schemas
from app.schemas.page import PageParams

Item = TypeVar("Item", bound=BaseModel)
# A column of a model, or an expression such as `func.lower(User.full_name)`.
SortColumn = InstrumentedAttribute[Any] | ColumnElement[Any]


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
    sort_columns: Mapping[str, SortColumn | Sequence[SortColumn]],
    id_column: InstrumentedAttribute[Any],
) -> FetchedPage[Item]:
    """Fetch one page of *statement*, in the order that `params.sort` names, as schemas.

    *statement* selects the columns that the fields of *schema* name.

    *sort_columns* maps the names that a client may sort by to columns, or to several columns of
    which the first counts most; a leading `-` means descending. Rows with equal values are sorted
    by *id_column*, the primary key of the listed table: an index on all of them makes every page
    fast. NULLs come last, or first in descending order, on every database.

    Raises InvalidCursorError for a cursor that this list didn't return for this order.
    """
    descending = params.sort.startswith("-")
    sort_by = sort_columns[params.sort.removeprefix("-")]
    columns = [*sort_by] if isinstance(sort_by, Sequence) else [sort_by]
    keys = [_Key(column, _is_nullable(column, id_column), descending) for column in columns]
    keys.append(_Key(id_column, False, descending))
    if params.cursor is not None:
        position = _decode_cursor(params.cursor, params.sort, keys)
        statement = statement.where(_is_behind(keys, position))
    order = [key.order() for key in keys]
    # The keys of the last row become the cursor; the schema need not contain them.
    labelled = [key.column.label(f"key_{number}") for number, key in enumerate(keys)]
    statement = statement.add_columns(*labelled).order_by(*order)
    try:
        # One extra row shows whether there is a next page.
        rows = await reader.all(statement.limit(params.limit + 1))
    except (StatementError, ValueError, OverflowError) as error:
        if params.cursor is None:
            raise
        # A value of the right type that the database or its driver can't compare with.
        raise InvalidCursorError from error
    items = make_schemas(schema, rows[: params.limit])
    if len(rows) <= params.limit:
        return FetchedPage(items, None)
    last = rows[params.limit - 1]
    return FetchedPage(items, _encode_cursor(params.sort, last[-len(keys) :]))


@dataclass(frozen=True)
class _Key:
    """One of the columns by which a list is sorted."""

    column: SortColumn
    is_nullable: bool
    descending: bool

    def order(self) -> ColumnElement[Any]:
        order = self.column.desc() if self.descending else self.column.asc()
        if not self.is_nullable:
            return order
        return order.nulls_first() if self.descending else order.nulls_last()

    def literal(self, value: Any) -> ColumnElement[Any]:
        type_ = self.column.type
        value = literal(value, type_)
        # psycopg sends a double, which differs from the `real` that it was read from.
        return cast(value, type_) if isinstance(type_, Float) else value

    def equals(self, value: Any) -> ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == self.literal(value)

    def is_behind(self, value: Any) -> ColumnElement[bool]:
        if value is None:
            return self.column.is_not(None) if self.descending else false()
        if self.descending:
            return self.column < self.literal(value)
        behind = self.column > self.literal(value)
        return or_(behind, self.column.is_(None)) if self.is_nullable else behind

    def parse(self, value: Any) -> Any:
        if value is None and self.is_nullable:
            return None
        return TypeAdapter(self.column.type.python_type).validate_python(value)


def _is_nullable(column: SortColumn, id_column: InstrumentedAttribute[Any]) -> bool:
    # A column of another table may be NULL because of an outer join.
    is_own = getattr(column, "parent", None) is id_column.parent
    return not is_own or bool(getattr(column.expression, "nullable", True))


def _is_behind(keys: Sequence[_Key], position: Sequence[Any]) -> ColumnElement[bool]:
    """Select the rows that come after the row whose keys have these values."""
    if not any(key.is_nullable for key in keys):
        row = tuple_(*(key.column for key in keys))
        last = tuple_(*(key.literal(value) for key, value in zip(keys, position, strict=True)))
        return row < last if keys[0].descending else row > last
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, value in zip(keys, position, strict=True):
        alternatives.append(and_(*equal, key.is_behind(value)))
        equal.append(key.equals(value))
    return or_(*alternatives)


def _encode_cursor(sort: str, position: Sequence[Any]) -> str:
    # Without ASCII escapes, which take six characters each: the length of a cursor is limited.
    text = json.dumps([sort, *to_jsonable_python(position)], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, sort: str, keys: Sequence[_Key]) -> list[Any]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        cursor_sort, *position = json.loads(text)
        if cursor_sort != sort:
            raise InvalidCursorError
        return [key.parse(value) for key, value in zip(keys, position, strict=True)]
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidCursorError from error
