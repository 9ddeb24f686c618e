"""Keyset pages of any table: together, they are the whole list in its order."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.crud.page import fetch_page
from app.db.session import Database
from tests.crud.things import SORT_COLUMNS, SORTS, Thing, ThingParams

# Few values for each column, so that many rows have equal ones.
texts = st.sampled_from(["", "a", "A", "é", "\U0001f40e", "x" * 20]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)
numbers = st.sampled_from([0, -1, 2**63 - 1, -(2**63)])
decimals = st.sampled_from([Decimal("0.00"), Decimal("-0.01"), Decimal("99999999.99")])
floats = st.sampled_from([0.0, -0.1, 0.1, 1e300, float("inf")])
times = st.sampled_from(
    [datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)]
) | st.datetimes(timezones=st.just(UTC))
rows = st.fixed_dictionaries(
    {
        "id": st.uuids(),
        "text": texts,
        "text_or_null": st.none() | texts,
        "number_or_null": st.none() | numbers,
        "decimal_or_null": st.none() | decimals,
        "float_or_null": st.none() | floats,
        "time": times,
        "time_or_null": st.none() | times,
        "flag": st.booleans(),
        "flag_or_null": st.none() | st.booleans(),
    }
)


async def fetch_all(session: AsyncSession, sort: str, limit: int) -> list[UUID]:
    """Fetch page after page, and return the ids in the order in which they came."""
    ids: list[UUID] = []
    cursor = None
    while True:
        params = ThingParams.model_validate({"sort": sort, "limit": limit, "cursor": cursor})
        page = await fetch_page(
            session, select(Thing), params, sort_columns=SORT_COLUMNS, id_column=Thing.id
        )
        assert len(page.items) <= limit
        ids += [thing.id for thing in page.items]
        if page.next_cursor is None:
            return ids
        assert len(page.items) == limit
        cursor = page.next_cursor


def in_order(rows: Sequence[dict[str, Any]], sort: str) -> list[UUID]:
    """Sort as the pages do: by value, then by id; NULLs last, or first in descending order."""
    name = sort.removeprefix("-")
    ordered = sorted(
        rows,
        key=lambda row: (row[name] is None, row[name] if row[name] is not None else 0, row["id"]),
    )
    return [row["id"] for row in (reversed(ordered) if sort.startswith("-") else ordered)]


# SQLite has no decimal numbers: SQLAlchemy stores floats.
@pytest.mark.filterwarnings("ignore:Dialect sqlite.+ does .not. support Decimal")
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    # Each example undoes its changes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=st.lists(rows, max_size=7, unique_by=lambda row: row["id"]), limit=st.integers(1, 4))
async def test_pages_agree_with_the_whole_list(
    things: Database, rows: list[dict[str, Any]], limit: int
) -> None:
    async with things.session() as session:
        if rows:
            await session.execute(insert(Thing), rows)
        for sort in SORTS:
            assert await fetch_all(session, sort, limit) == in_order(rows, sort), sort
        await session.rollback()
