"""Keyset pagination: page 1,000 costs what page 1 costs, and rows that are added or removed between
pages neither repeat nor hide others.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python
from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    and_,
    bindparam,
    cast,
    false,
    or_,
    tuple_,
)
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
    values: Mapping[str, Any] | None = None,
    sort_columns: Mapping[str, SortColumn | Sequence[SortColumn]],
    id_column: InstrumentedAttribute[Any],
) -> FetchedPage[Item]:
    """Fetch one page of *statement*, in the order that `params.sort` names, as schemas.

    *statement* selects the columns that the fields of *schema* name, and *values* are its parameters.
    A statement that is a constant of a module costs least: it is completed once for each order.

    *sort_columns* maps the names that a client may sort by to columns, or to several columns of
    which the first counts most; a leading `-` means descending. Rows with equal values are sorted
    by *id_column*, the primary key of the listed table: an index on all of them makes every page
    fast. NULLs come last, or first in descending order, on every database.

    Raises InvalidCursorError for a cursor that this list didn't return for this order.
    """
    descending = params.sort.startswith("-")
    sort_by = sort_columns[params.sort.removeprefix("-")]
    columns = [*sort_by] if isinstance(sort_by, Sequence) else [sort_by]
    keys = [
        _Key(number, column, _is_nullable(column, id_column), descending)
        for number, column in enumerate([*columns, id_column])
    ]
    position = [] if params.cursor is None else _decode_cursor(params.cursor, params.sort, keys)
    nulls = tuple(value is None for value in position)
    # One extra row shows whether there is a next page.
    last_values = {f"after_{number}": value for number, value in enumerate(position)}
    values = {**(values or {}), **last_values, "limit": params.limit + 1}
    try:
        rows = await reader.all(_page_statement(statement, tuple(keys), nulls), values)
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
    """The column by which a list is sorted, or one of several."""

    number: int
    column: SortColumn
    is_nullable: bool
    descending: bool

    def order(self) -> ColumnElement[Any]:
        order = self.column.desc() if self.descending else self.column.asc()
        if not self.is_nullable:
            return order
        return order.nulls_first() if self.descending else order.nulls_last()

    def last_value(self) -> ColumnElement[Any]:
        """The value in the last row of the page before, as a parameter of the statement."""
        value = bindparam(f"after_{self.number}", type_=self.column.type)
        # psycopg sends a double, which differs from the `real` that it was read from.
        return cast(value, self.column.type) if isinstance(self.column.type, Float) else value

    def equals(self, is_null: bool) -> ColumnElement[bool]:
        return self.column.is_(None) if is_null else self.column == self.last_value()

    def is_behind(self, is_null: bool) -> ColumnElement[bool]:
        if is_null:
            return self.column.is_not(None) if self.descending else false()
        if self.descending:
            return self.column < self.last_value()
        behind = self.column > self.last_value()
        return or_(behind, self.column.is_(None)) if self.is_nullable else behind

    def parse(self, value: Any) -> Any:
        if value is None and self.is_nullable:
            return None
        python_type: Any = self.column.type.python_type
        return _parser(python_type).validate_python(value)


@cache
def _parser(type_: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def _is_nullable(column: SortColumn, id_column: InstrumentedAttribute[Any]) -> bool:
    # A column of another table may be NULL because of an outer join.
    is_own = getattr(column, "parent", None) is id_column.parent
    return not is_own or bool(getattr(column.expression, "nullable", True))


@lru_cache(maxsize=256)
def _page_statement(
    statement: Select[*tuple[Any, ...]], keys: tuple[_Key, ...], nulls: tuple[bool, ...]
) -> Select[*tuple[Any, ...]]:
    """Add order, limit and, for each page but the first, the position of the page before.

    *nulls* says which keys were NULL in the last row of that page. Building a statement takes longer
    than running it, so it is kept.
    """
    # The keys of the last row become the cursor; the schema need not contain them.
    labelled = [key.column.label(f"key_{key.number}") for key in keys]
    order = [key.order() for key in keys]
    statement = statement.add_columns(*labelled).order_by(*order)
    if nulls:
        statement = statement.where(_is_behind(keys, nulls))
    return statement.limit(bindparam("limit", type_=Integer))


def _is_behind(keys: Sequence[_Key], nulls: Sequence[bool]) -> ColumnElement[bool]:
    """Select the rows that come after the last row of the page before."""
    if not any(key.is_nullable for key in keys):
        row = tuple_(*(key.column for key in keys))
        last = tuple_(*(key.last_value() for key in keys))
        return row < last if keys[0].descending else row > last
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, is_null in zip(keys, nulls, strict=True):
        alternatives.append(and_(*equal, key.is_behind(is_null)))
        equal.append(key.equals(is_null))
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
