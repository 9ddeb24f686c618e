"""The pool serves waiting requests in the order in which they came."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, column, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.db.engine import make_engine
from app.db.session import Database


@pytest.fixture
async def small(migrated_database_url: URL) -> AsyncIterator[Database]:
    """A database with a single connection."""
    database = Database(make_engine(migrated_database_url, pool_size=1, pool_timeout=5))
    yield database
    await database.engine.dispose()


async def test_newcomer_does_not_overtake_those_who_wait(small: Database) -> None:
    served: list[int] = []

    async def ask(number: int) -> None:
        for _ in range(3):  # whoever is served asks again at once
            await small.read_session.scalar(select(1))
            served.append(number)

    async with asyncio.TaskGroup() as tasks, small.engine.connect():
        for number in range(4):
            tasks.create_task(ask(number))
            await asyncio.sleep(0.01)
    assert served == [0, 1, 2, 3] * 3


async def test_waiting_has_a_time_limit_and_leaves_the_pool_usable(small: Database) -> None:
    impatient = Database(make_engine(small.engine.url, pool_size=1, pool_timeout=0.01))
    async with impatient.engine.connect():
        with pytest.raises(PoolTimeoutError, match=r"none of 1 connections was free within 0.01 s"):
            await asyncio.create_task(impatient.engine.connect().start())
    assert await impatient.read_session.scalar(select(1)) == 1
    await impatient.engine.dispose()


async def test_failures_and_cancellations_lose_no_connection(small: Database) -> None:
    for _ in range(3):
        with pytest.raises(DBAPIError):
            await small.read_session.scalar(select(column("nothing")))
        async with small.engine.connect():
            waiting = asyncio.create_task(small.read_session.scalar(select(1)))
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.wait([waiting])
        async with small.engine.connect() as connection:
            await connection.invalidate()
    assert await small.read_session.scalar(select(1)) == 1
