"""Keyset pages of any table: together, they are the whole list in its order."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVarTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Row, bindparam, case, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import TypedReturnsRows

from app.crud.page import fetch_page
from app.db.session import Database, ReadSession
from app.schemas.base import ResponseSchema
from tests.crud.things import (
    SORT_COLUMNS,
    SORTS,
    Colour,
    Number,
    Owner,
    Thing,
    ThingParams,
    ThingRead,
    list_things,
)

Columns = TypeVarTuple("Columns")

# SQLite has no decimal numbers: SQLAlchemy stores floats.
pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.+ does .not. support Decimal")

OWNERS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Ada"}, {"id": 3, "name": "bob"}]
# Few values for each column, so that many rows have equal ones.
TEXTS = ["a", "A", "é", "E", "", "\U0001f40e", "x" * 20, "ä'\\%_"]
VALUES: dict[str, list[Any]] = {
    "owner_id": [1, None, 2, 3],
    "text": TEXTS,
    "text_or_null": [None, *TEXTS],
    "collated_or_null": [*TEXTS, None],
    "number_or_null": [0, -1, None, 2**63 - 1, -(2**63)],
    "decimal_or_null": [Decimal("0.00"), Decimal("-0.01"), None, Decimal("99999999.99")],
    "float_or_null": [0.0, -0.1, 0.1, None, 1e300, float("inf")],
    "short_float_or_null": [None, 0.1, 0.5, -0.1],
    "time": [datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)],
    "time_or_null": [datetime(1, 1, 1, tzinfo=UTC), None],
    "date_or_null": [date(1, 1, 1), None, date(2026, 12, 31)],
    "hour_or_null": [time(0, 0), None, time(23, 59, 59, 999999)],
    "duration_or_null": [timedelta(0), timedelta(days=3, microseconds=1), None],
    "uuid_or_null": [UUID(int=0), None, UUID(int=2**128 - 1)],
    "flag": [True, False],
    "flag_or_null": [True, None, False],
    "colour": [*Colour],
    "colour_or_null": [Colour.RED, None, Colour.DARK_BLUE],
    "size_or_null": [None, "m", "s"],
}
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
any_time = st.datetimes(timezones=st.just(UTC))
# A column also gets values that nobody thought of.
OTHER_VALUES = {
    "text": any_text,
    "text_or_null": any_text,
    "collated_or_null": any_text,
    "number_or_null": st.integers(-(2**63), 2**63 - 1),
    "decimal_or_null": st.decimals(-10_000, 10_000, places=2),
    "float_or_null": st.floats(allow_nan=False),
    "short_float_or_null": st.floats(-1024, 1024, width=32),
    "time": any_time,
    "time_or_null": any_time,
    "date_or_null": st.dates(),
}
any_row = st.fixed_dictionaries(
    {"id": st.uuids()}
    | {
        name: st.sampled_from(values) | OTHER_VALUES.get(name, st.nothing())
        for name, values in VALUES.items()
    }
)
ROWS = [
    {"id": UUID(int=number * 7919 % 13)}
    | {name: values[number % len(values)] for name, values in VALUES.items()}
    for number in range(10)
]


class Reader(ReadSession):
    """Reads in the transaction of a session, which stores nothing for good."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.statements: list[object] = []

    async def all(
        self, statement: TypedReturnsRows[*Columns], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row[*Columns]]:
        self.statements.append(statement)
        connection = await self._session.connection()
        return (await connection.execute(statement, params)).all()


async def store(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    await session.execute(insert(Owner), OWNERS)
    if rows:
        await session.execute(insert(Thing), rows)


async def fetch_pages(session: AsyncSession, sort: str, limit: int) -> list[UUID]:
    """Fetch page after page, and return the ids in the order in which they came."""
    ids: list[UUID] = []
    cursor = None
    while True:
        params = ThingParams(sort=sort, limit=limit, cursor=cursor)
        page = await fetch_page(
            Reader(session),
            ThingRead,
            list_things(),
            params,
            sort_columns=SORT_COLUMNS,
            id_column=Thing.id,
        )
        assert len(page.items) <= limit
        ids += [thing.id for thing in page.items]
        if page.next_cursor is None:
            return ids
        assert len(page.items) == limit
        assert len(ids) < 100, f"the pages by {sort} never end"
        cursor = page.next_cursor


async def fetch_whole(session: AsyncSession, sort: str) -> list[UUID]:
    """Let the database sort: by value, then by id; NULLs last, or first in descending order."""
    named = SORT_COLUMNS[sort.removeprefix("-")]
    order: list[ColumnElement[Any]] = []
    for column in named if isinstance(named, list | tuple) else [named]:
        order += [case((column.is_(None), 1), else_=0), column]
    order.append(Thing.id.expression)
    if sort.startswith("-"):
        order = [column.desc() for column in order]
    return [*await session.scalars(list_things().order_by(*order))]


@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_of_every_type_agree_with_the_whole_list(things: Database, limit: int) -> None:
    async with things.session() as session:
        await store(session, ROWS)
        for sort in SORTS:
            whole = await fetch_whole(session, sort)
            assert len(whole) == len(ROWS)
            assert await fetch_pages(session, sort, limit) == whole, sort


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    # Each example undoes its changes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.lists(any_row, max_size=7, unique_by=lambda row: row["id"]),
    limit=st.integers(1, 4),
    sorts=st.lists(st.sampled_from(SORTS), min_size=4, max_size=4),
)
async def test_pages_of_any_values_agree_with_the_whole_list(
    things: Database, rows: list[dict[str, Any]], limit: int, sorts: list[str]
) -> None:
    async with things.session() as session:
        await store(session, rows)
        for sort in sorts:
            assert await fetch_pages(session, sort, limit) == await fetch_whole(session, sort), sort
        await session.rollback()


class Owned(ResponseSchema):
    text: str
    name: str


async def test_columns_of_several_models_can_be_listed(things: Database) -> None:
    params = ThingParams(sort="owner", limit=2)
    async with things.session() as session:
        await store(session, ROWS[:4])
        page = await fetch_page(
            Reader(session),
            Owned,
            select(Thing.text, Owner.name).join(Owner),
            params,
            sort_columns=SORT_COLUMNS,
            id_column=Thing.id,
        )
    assert [(item.text, item.name) for item in page.items] == [("a", "Ada"), ("é", "Ada")]
    assert page.next_cursor is not None


COLOURED = select(Thing.id).where(Thing.colour == bindparam("colour"))


async def test_statement_of_a_constant_is_built_once_for_each_order(things: Database) -> None:
    async with things.session() as session:
        await store(session, ROWS)
        reader = Reader(session)
        for sort in ("time", "-time"):
            for colour in Colour:
                found: list[UUID] = []
                cursor = None
                while not found or cursor is not None:
                    page = await fetch_page(
                        reader,
                        ThingRead,
                        COLOURED,
                        ThingParams(sort=sort, limit=1, cursor=cursor),
                        values={"colour": colour},
                        sort_columns=SORT_COLUMNS,
                        id_column=Thing.id,
                    )
                    cursor = page.next_cursor
                    found += [thing.id for thing in page.items]
                assert {*found} == {row["id"] for row in ROWS if row["colour"] is colour}
    assert len(reader.statements) == 2 * len(ROWS)
    # For each order, one for the first page and one for the others.
    assert len({*reader.statements}) == 4


class NumberRead(ResponseSchema):
    id: int


async def test_table_with_integer_key_has_pages(things: Database) -> None:
    found: list[int] = []
    cursor = None
    async with things.session() as session:
        await session.execute(insert(Number), [{"id": n, "text": "x"} for n in (3, 1, 2)])
        while True:
            page = await fetch_page(
                Reader(session),
                NumberRead,
                select(Number.id),
                ThingParams(sort="text", limit=2, cursor=cursor),
                sort_columns={"text": Number.text},
                id_column=Number.id,
            )
            found += [number.id for number in page.items]
            if (cursor := page.next_cursor) is None:
                break
    assert found == [1, 2, 3]
