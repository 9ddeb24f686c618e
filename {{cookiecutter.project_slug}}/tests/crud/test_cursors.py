"""Cursors that a list did not return are rejected, whatever they contain."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import column
from sqlalchemy.exc import DBAPIError

from app.core.exceptions import InvalidCursorError, UnavailableError
from app.crud.page import FetchedPage, fetch_page
from app.db.session import Database
from tests.crud.things import SORT_COLUMNS, SORTS, Thing, ThingParams, ThingRead, list_things

ID = "019a0000-0000-7000-8000-000000000000"
# Too deep for a recursive parser, in fewer characters than a cursor may have.
DEEP = "[" * 1400


def encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def fetch(database: Database, sort: str, cursor: str | None) -> FetchedPage[ThingRead]:
    params = ThingParams.model_validate({"sort": sort, "cursor": cursor})
    return await fetch_page(
        database.read_session,
        ThingRead,
        list_things(),
        params,
        sort_columns=SORT_COLUMNS,
        id_column=Thing.id,
    )


@pytest.mark.parametrize("cursor", ["", "x", "é", "====", "a b", "__4=", encode(DEEP)])
async def test_malformed_cursor_is_rejected(things: Database, cursor: str) -> None:
    with pytest.raises(InvalidCursorError) as caught:
        await fetch(things, "text", cursor)
    assert (caught.value.place, caught.value.field) == ("query", "cursor")


@pytest.mark.parametrize(
    "content",
    [
        "text",
        "{}",
        "[]",
        '["text"]',
        '["text", "a", 1]',
        f'["text", "a", "{ID}", 1]',
        f'["-text", "a", "{ID}"]',
        f'["flag", true, "{ID}"]',
        f'["text", null, "{ID}"]',
        f'["text", 1, "{ID}"]',
        f'["text", ["a"], "{ID}"]',
        '["text", "a", null]',
        f'["text", "\\ud800", "{ID}"]',
    ],
)
async def test_cursor_of_another_list_or_order_is_rejected(things: Database, content: str) -> None:
    with pytest.raises(InvalidCursorError):
        await fetch(things, "text", encode(content))


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("number_or_null", 10**30),
        ("number_or_null", 1.5),
        ("time", "2026-01-01T00:00:00"),  # without a zone
        ("time", "9999-12-31T23:59:59-23:00"),
        ("flag", 2),
        ("decimal_or_null", "NaN"),
        ("float_or_null", "much"),
        ("date_or_null", "2026-02-30"),
        ("colour", "green"),
        ("size_or_null", "xl"),
    ],
)
async def test_value_outside_of_its_type_is_rejected(
    things: Database, sort: str, value: object
) -> None:
    with pytest.raises(InvalidCursorError):
        await fetch(things, sort, encode(json.dumps([sort, value, ID])))


async def test_error_of_the_database_is_not_blamed_on_a_missing_cursor(
    database: Database,
) -> None:
    with pytest.raises(UnavailableError):  # there is no such table
        await fetch(database, "text", None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda values: st.lists(values, max_size=2),
    max_leaves=3,
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sort=st.sampled_from(SORTS), value=json_values, id_=st.just(ID) | json_values)
async def test_manipulated_cursor_gives_a_page_or_one_error(
    things: Database, sort: str, value: Any, id_: Any
) -> None:
    cursor = encode(json.dumps([sort, value, id_]))
    try:
        page = await fetch(things, sort, cursor)
    except InvalidCursorError:
        return
    assert page == FetchedPage([], None)


async def test_bug_of_a_statement_is_not_blamed_on_a_missing_cursor(things: Database) -> None:
    statement = list_things().where(column("nothing") == 1)
    with pytest.raises(DBAPIError):
        await fetch_page(
            things.read_session,
            ThingRead,
            statement,
            ThingParams(sort="text"),
            sort_columns=SORT_COLUMNS,
            id_column=Thing.id,
        )
