"""A `ReadSession` reads outside of transactions, holds no connection and can't lose a write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Select, bindparam, column, func, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from app.db.session import Database, ReadOnlyError, columns_of
from app.models.user import User
from app.models.user_session import UserSession
from app.schemas.user import UserRead
from tests.support import make_user, statements


@pytest.fixture(autouse=True)
async def user(database: Database) -> AsyncIterator[User]:
    """Ada, who is stored and must be stored unchanged after the test."""
    async with database.session.begin() as session:
        user = make_user("ada@example.com", full_name="Ada")
        session.add(user)
    yield user
    reader = database.read_session
    rows = await reader.all(select(User.email, User.full_name))
    assert [tuple(row) for row in rows] == [("ada@example.com", "Ada")]


def open_connections(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


async def test_statements_return_rows_and_values(database: Database) -> None:
    by_name = select(User.email).where(User.full_name == bindparam("name"))
    reader = database.read_session
    assert await reader.all(select(User.email)) == [("ada@example.com",)]
    assert await reader.scalars(by_name, {"name": "Ada"}) == ["ada@example.com"]
    assert await reader.first(by_name, {"name": "Ada"}) == ("ada@example.com",)
    assert await reader.first(by_name, {"name": "Bob"}) is None
    assert await reader.scalar(by_name, {"name": "Bob"}) is None


async def test_mypy_and_python_know_no_method_that_writes(database: Database, user: User) -> None:
    # An ignore that suppresses no error is an error for mypy (`warn_unused_ignores`).
    reader = database.read_session
    with pytest.raises(AttributeError):
        reader.add(user)  # type: ignore[attr-defined]  # rejected by mypy, on purpose
    with pytest.raises(AttributeError):
        await reader.flush()  # type: ignore[attr-defined]  # as above
    with pytest.raises(AttributeError):
        await reader.commit()  # type: ignore[attr-defined]  # as above
    with pytest.raises(ReadOnlyError):
        await reader.all(insert(User))  # type: ignore[arg-type]  # as above
    with pytest.raises(ReadOnlyError):
        await reader.all(update(User))  # type: ignore[arg-type]  # as above
    with pytest.raises(ReadOnlyError):
        await reader.all(text("DELETE FROM users"))  # type: ignore[arg-type]  # as above


async def test_write_that_returns_rows_is_rejected(database: Database) -> None:
    """Its type is that of a SELECT, so mypy accepts it."""
    new = insert(User).values(email="bob@example.com", hashed_password="x").returning(User.id)
    reader = database.read_session
    with pytest.raises(ReadOnlyError, match="SELECT statements only"):
        await reader.scalar(new)
    changed = update(User).values(full_name="lost").returning(User.id)
    with pytest.raises(ReadOnlyError, match="SELECT statements only"):
        await reader.scalars(changed)


@pytest.mark.parametrize(
    "statement", [select(User), select(User.id, User), select(UserSession).join(UserSession.user)]
)
async def test_entities_are_rejected(database: Database, statement: Select[Any]) -> None:
    """A change to one of them would be stored nowhere."""
    with pytest.raises(ReadOnlyError, match="selects columns, not entities"):
        await database.read_session.all(statement)


async def test_schemas_are_made_from_the_columns_that_they_name(database: Database) -> None:
    statement = select(*columns_of(UserRead, User), User.hashed_password)
    user = await database.read_session.first_as(UserRead, statement)
    assert isinstance(user, UserRead)
    assert user.full_name == "Ada"
    assert await database.read_session.all_as(UserRead, statement) == [user]
    nobody = statement.where(User.email == "nobody@example.com")
    assert await database.read_session.first_as(UserRead, nobody) is None


async def test_schema_cannot_be_changed(database: Database) -> None:
    user = await database.read_session.first_as(UserRead, select(*columns_of(UserRead, User)))
    assert user is not None
    with pytest.raises(ValidationError, match="frozen"):
        user.full_name = "lost"  # type: ignore[misc]  # rejected by mypy, on purpose


async def test_no_connection_is_held_after_a_statement(database: Database) -> None:
    await database.read_session.all(select(User.id))
    assert open_connections(database) == 0


async def test_failed_statement_gives_its_connection_back(database: Database) -> None:
    reader = database.read_session
    with pytest.raises(DBAPIError):
        await reader.scalar(select(column("nothing")))
    assert open_connections(database) == 0
    assert await reader.scalar(select(User.email)) == "ada@example.com"


async def test_cancelled_statement_gives_its_connection_back(database: Database) -> None:
    numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < 2_000_000))
    slow = select(func.count()).select_from(numbers)
    reader = database.read_session
    task = asyncio.create_task(reader.scalar(slow))
    while not open_connections(database):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_connections(database) == 0
    assert await reader.scalar(select(User.email)) == "ada@example.com"


async def test_each_statement_sees_what_was_committed_before_it(
    database: Database, user: User
) -> None:
    reader = database.read_session
    for name in ("Bob", "Ada"):
        async with database.session.begin() as session:
            (await session.get_one(User, user.id)).full_name = name
        assert await reader.scalar(select(User.full_name)) == name


async def test_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.session() as writer:
        writer.add(make_user("bob@example.com"))
        await writer.flush()
        async with asyncio.timeout(5):
            assert await database.read_session.scalars(select(User.email)) == ["ada@example.com"]


async def test_statement_needs_no_other_one(database: Database) -> None:
    with statements(database) as executed:
        reader = database.read_session
        await reader.scalar(select(User.id))
    (statement,) = executed  # no BEGIN; what PostgreSQL sees is tested apart
    assert statement.startswith("SELECT")
