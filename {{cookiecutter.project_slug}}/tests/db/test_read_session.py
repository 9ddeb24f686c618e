"""A `ReadSession` reads outside of transactions, holds no connection and can't lose a write."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import bindparam, column, func, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.pool import QueuePool

from app.db.session import Database, ReadOnlyError
from app.models.user import User
from app.models.user_session import UserSession
from tests.support import (
    make_user,
    statements,
)


@pytest.fixture(autouse=True)
async def user(database: Database) -> AsyncIterator[User]:
    """Ada, who is stored and must be stored unchanged after the test."""
    async with database.session.begin() as session:
        user = make_user("ada@example.com", full_name="Ada")
        session.add(user)
    yield user
    async with database.read_session() as reader:
        rows = await reader.execute(select(User.email, User.full_name))
        assert [tuple(row) for row in rows] == [("ada@example.com", "Ada")]


def open_connections(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


async def test_statements_return_rows_objects_and_values(database: Database) -> None:
    by_name = select(User).where(User.full_name == bindparam("name"))
    async with database.read_session() as reader:
        assert (await reader.execute(select(User.email))).one() == ("ada@example.com",)
        assert (await reader.scalars(by_name, {"name": "Ada"})).one().email == "ada@example.com"
        assert await reader.scalar(by_name, {"name": "Bob"}) is None


async def test_mypy_and_python_know_no_method_that_writes(database: Database, user: User) -> None:
    # An ignore that suppresses no error is an error for mypy (`warn_unused_ignores`).
    async with database.read_session() as reader:
        with pytest.raises(AttributeError):
            reader.add(user)  # type: ignore[attr-defined]  # rejected by mypy, on purpose
        with pytest.raises(AttributeError):
            await reader.flush()  # type: ignore[attr-defined]  # as above
        with pytest.raises(AttributeError):
            await reader.commit()  # type: ignore[attr-defined]  # as above
        with pytest.raises(ReadOnlyError):
            await reader.execute(insert(User))  # type: ignore[arg-type]  # as above
        with pytest.raises(ReadOnlyError):
            await reader.execute(update(User))  # type: ignore[arg-type]  # as above
        with pytest.raises(ReadOnlyError):
            await reader.execute(text("DELETE FROM users"))  # type: ignore[arg-type]  # as above


async def test_write_that_returns_rows_is_rejected(database: Database) -> None:
    """Its type is that of a SELECT, so mypy accepts it."""
    new = insert(User).values(email="bob@example.com", hashed_password="x").returning(User.id)
    async with database.read_session() as reader:
        with pytest.raises(ReadOnlyError, match="SELECT statements only"):
            await reader.scalar(new)
        changed = update(User).values(full_name="lost").returning(User.id)
        with pytest.raises(ReadOnlyError, match="SELECT statements only"):
            await reader.scalars(changed)


async def test_changed_object_is_rejected_at_the_next_statement(database: Database) -> None:
    async def change_and_read() -> None:
        async with database.read_session() as reader:
            (await reader.scalars(select(User))).one().full_name = "lost"
            await reader.scalar(select(User.id))

    with statements(database) as executed, pytest.raises(ReadOnlyError, match="was changed"):
        await change_and_read()
    assert len(executed) == 1


async def test_changed_object_is_rejected_at_the_end(database: Database) -> None:
    with pytest.raises(ReadOnlyError, match="was changed"):
        async with database.read_session() as reader:
            (await reader.scalars(select(User))).one().full_name = "lost"


async def test_object_changed_during_a_statement_is_rejected(database: Database) -> None:
    async def change(user: User) -> None:
        user.full_name = "lost"

    async def read_and_change() -> None:
        async with database.read_session() as reader:
            user = (await reader.scalars(select(User))).one()
            await asyncio.gather(reader.scalar(select(User.id)), change(user))

    with pytest.raises(ReadOnlyError, match="was changed"):
        await read_and_change()


async def test_error_of_the_block_is_raised_rather_than_that_of_a_change(
    database: Database,
) -> None:
    async def change_and_fail() -> None:
        async with database.read_session() as reader:
            (await reader.scalars(select(User))).one().full_name = "lost"
            raise LookupError

    with pytest.raises(LookupError):
        await change_and_fail()


async def test_no_connection_is_held_between_statements(database: Database, user: User) -> None:
    async with database.session.begin() as session:
        session.add(UserSession(user_id=user.id))
    async with database.read_session() as reader:
        for option in (selectinload(UserSession.user), joinedload(UserSession.user)):
            user_session = (await reader.scalars(select(UserSession).options(option))).one()
            assert user_session.user.email == "ada@example.com"
            assert open_connections(database) == 0
        await reader.execute(select(User))
        assert open_connections(database) == 0
    assert open_connections(database) == 0


async def test_failed_statement_gives_its_connection_back(database: Database) -> None:
    async with database.read_session() as reader:
        with pytest.raises(DBAPIError):
            await reader.scalar(select(column("nothing")))
        assert open_connections(database) == 0
        assert await reader.scalar(select(User.email)) == "ada@example.com"


async def test_cancelled_statement_gives_its_connection_back(database: Database) -> None:
    numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < 2_000_000))
    slow = select(func.count()).select_from(numbers)
    async with database.read_session() as reader:
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
    async with database.read_session() as reader:
        for name in ("Bob", "Ada"):
            async with database.session.begin() as session:
                (await session.get_one(User, user.id)).full_name = name
            assert await reader.scalar(select(User.full_name)) == name


async def test_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.session() as writer:
        writer.add(make_user("bob@example.com"))
        await writer.flush()
        async with database.read_session() as reader, asyncio.timeout(5):
            assert (await reader.scalars(select(User.email))).all() == ["ada@example.com"]


async def test_statement_needs_no_other_one(database: Database) -> None:
    with statements(database) as executed:
        async with database.read_session() as reader:
            await reader.scalar(select(User.id))
    (statement,) = executed  # no BEGIN; what PostgreSQL sees is tested apart
    assert statement.startswith("SELECT")
