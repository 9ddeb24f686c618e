import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no types
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import column, insert, make_url, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, StatementError
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.pool import NullPool, QueuePool

from app.core.config import Settings
from app.db import session as module
from app.db.base import utc_now
from app.db.session import (
    Database,
    ReadOnlySessionError,
    database_url,
    make_engine,
    make_migration_engine,
)
from app.dependencies.get_db import SessionDep
from app.models import User, UserSession
from tests.support import TestSettings


def user(email: str, **values: object) -> User:
    return User(email=email, hashed_password="x", **values)


async def test_database_refuses_addresses_in_two_cases(database: Database) -> None:
    for addresses in (["ada@example.com", "ada@example.com"], ["Ada@example.com"]):
        with pytest.raises(IntegrityError):
            async with database.session.begin() as session:
                session.add_all([user(address) for address in addresses])


async def test_times_come_back_in_utc(database: Database) -> None:
    there = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))
    async with database.session.begin() as session:
        session.add(user("ada@example.com", created_at=there))
    async with database.read_session() as session:
        created_at = await session.scalar(select(User.created_at))
    assert created_at == there
    assert created_at is not None
    assert created_at.tzinfo is UTC or created_at.utcoffset() == timedelta()


async def test_times_need_a_zone(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        async with database.session.begin() as session:
            session.add(user("ada@example.com", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 -- on purpose


async def test_update_moves_updated_at(database: Database) -> None:
    before = utc_now()
    async with database.session.begin() as session:
        account = user("ada@example.com", updated_at=before - timedelta(days=1))
        session.add(account)
    async with database.session.begin() as session:
        session.add(account)
        account.full_name = "Ada"
    # Read without asking the database again.
    assert account.updated_at > before


async def test_read_session_opens_no_transaction_and_refuses_to_write(database: Database) -> None:
    async with database.read_session() as session:
        session.add(user("ada@example.com"))
        with pytest.raises(ReadOnlySessionError):
            await session.flush()
        session.expunge_all()
        with pytest.raises(ReadOnlySessionError):
            await session.execute(insert(User))
        with pytest.raises(ReadOnlySessionError):
            await session.execute(text("DELETE FROM users"))
        assert (await session.scalars(select(User))).all() == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_safe_methods_refuse_to_write(
    app: FastAPI, client: httpx2.AsyncClient, database: Database, method: str
) -> None:
    @app.api_route("/write", methods=[method], include_in_schema=False)
    async def write(session: SessionDep) -> None:
        session.add(user("ada@example.com"))
        await session.flush()

    assert (await client.request(method, "/write")).status_code == 500
    async with database.read_session() as session:
        assert (await session.scalars(select(User))).all() == []


async def test_session_of_a_socket_holds_nothing(database: Database) -> None:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    async with database.session.begin() as session:
        account = user("ada@example.com")
        session.add(account)
        await session.flush()
        session.add(UserSession(user_id=account.id))
    async with database.socket_session() as socket_session:
        for options in ([selectinload(UserSession.user)], [joinedload(UserSession.user)]):
            user_session = (
                await socket_session.scalars(select(UserSession).options(*options))
            ).one()
            assert user_session.user.email == "ada@example.com"
            assert pool.checkedout() == 0
        with pytest.raises(ReadOnlySessionError):
            await socket_session.execute(insert(User))
        before = await socket_session.get_one(User, account.id)
        async with database.session.begin() as session:
            (await session.get_one(User, account.id)).full_name = "Ada"
        assert pool.checkedout() == 0
        after = await socket_session.get_one(User, account.id)
        assert (before.full_name, after.full_name) == (None, "Ada")
        with pytest.raises(DBAPIError):
            await socket_session.scalar(select(column("nothing")))
        assert pool.checkedout() == 0


async def test_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.session.begin() as writer:
        writer.add(user("ada@example.com"))
        await writer.flush()
        async with database.read_session() as reader, asyncio.timeout(5):
            assert (await reader.scalars(select(User))).all() == []


async def test_writers_wait_for_each_other(database: Database) -> None:
    async with database.session.begin() as session:
        session.add(user("ada@example.com", full_name=""))

    async def append() -> None:
        async with database.session.begin() as session:
            account = (await session.scalars(select(User).with_for_update())).one()
            account.full_name = f"{account.full_name}x"

    await asyncio.gather(*(append() for _ in range(10)))
    async with database.read_session() as session:
        assert await session.scalar(select(User.full_name)) == "x" * 10


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A folder that PostgreSQL reaches when root runs the tests; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


async def test_checkout_has_a_database_of_its_own(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(module, "VAR", open_directory / "var")
    values = settings.model_dump() | {"database_url": None}
    with database_url(TestSettings(**values)) as url:
        database = Database(make_engine(url))
        async with database.read_session() as session:
            assert await session.scalar(select(1)) == 1
        await database.engine.dispose()


async def test_sqlite(tmp_path: Path) -> None:
    """The same code serves SQLite, whatever this service uses."""
    url = make_url("sqlite+aiosqlite://").set(database=str(tmp_path / "app.db"))
    engine = make_engine(url)
    async with engine.begin() as connection:
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        await connection.execute(text("CREATE TABLE things (id INTEGER)"))
        # A transaction has the write lock from its begin; reading begins none and doesn't wait.
        async with Database(engine).read_session() as session, asyncio.timeout(5):
            assert await session.scalar(select(1)) == 1
    await engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite+aiosqlite:///app.db", "postgresql+asyncpg://user:password@127.0.0.1/app"]
)
async def test_migrations_have_no_pool(url: str) -> None:
    engine = make_migration_engine(make_url(url))
    assert isinstance(engine.pool, NullPool)
    await engine.dispose()


class Connection:
    """What the ping knows of a connection. What it does to real ones is shown in tests/faults."""

    def __init__(self, error: Exception | None) -> None:
        self.info = {"used": True}
        self.error = error
        self.terminated = False

    def run_async(self, function: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(function(self))

    async def execute(self, *_: str, **__: float) -> None:
        if self.error:
            raise self.error

    def terminate(self) -> None:
        self.terminated = True


def test_new_connection_is_not_pinged() -> None:
    connection = Connection(OSError())
    connection.info.clear()
    module._ping_postgresql(connection, connection, connection)  # type: ignore[arg-type]  # a stand-in
    assert connection.info


async def test_server_that_is_not_there() -> None:
    database = Database(make_engine(make_url("postgresql+asyncpg://u:p@127.0.0.1:9/x")))
    with pytest.raises(ConnectionError, match="can't be reached"):
        async with database.read_session() as session:
            await session.scalar(select(User))
    await database.engine.dispose()


async def test_errors_show_no_parameters(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with database.session.begin() as session:
            session.add_all([user("hidden@example.com"), user("hidden@example.com")])
    assert "hidden@example.com', " not in str(caught.value)
    assert "hide_parameters" in str(caught.value)


def test_connection_that_answers() -> None:
    connection = Connection(None)
    module._ping_postgresql(connection, connection, connection)  # type: ignore[arg-type]  # a stand-in
    assert not connection.terminated


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConnectionResetError(), DisconnectionError),
        (asyncpg.InterfaceError("closed"), DisconnectionError),
        (TimeoutError(), TimeoutError),
    ],
)
def test_connection_that_is_lost(error: Exception, raised: type[Exception]) -> None:
    connection = Connection(error)
    with pytest.raises(raised):
        module._ping_postgresql(connection, connection, connection)  # type: ignore[arg-type]  # a stand-in
    assert connection.terminated
