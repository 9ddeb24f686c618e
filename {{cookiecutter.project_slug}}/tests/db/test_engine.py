"""Engines: SQLite's settings, and when a connection to PostgreSQL is pinged."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import NullPool

from app.core.exceptions import UnavailableError
from app.crud.revision import IsWritable
from app.db import engine as module
from app.db.engine import PING_AFTER_SECONDS, make_engine, make_migration_engine
from app.db.postgresql import PostgresConnection
from app.db.session import Database
from app.models.user import User


async def test_sqlite_has_foreign_keys_and_concurrent_readers(tmp_path: Path) -> None:
    """The same code serves SQLite, whichever database this service uses."""
    engine = make_engine(make_url("sqlite+aiosqlite://").set(database=str(tmp_path / "app.db")))
    async with engine.begin() as connection:
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        await connection.execute(text("CREATE TABLE things (id INTEGER)"))
        # A transaction has the write lock from its BEGIN; a read begins none and doesn't wait.
        async with asyncio.timeout(5):
            assert await Database(engine).read_session.scalar(select(1)) == 1
    await engine.dispose()


async def test_sqlite_says_whether_its_file_and_folder_are_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(make_url("sqlite+aiosqlite://").set(database=str(tmp_path / "app.db")))
    read_only: set[Path] = set()
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path) not in read_only)
    for path, is_writable in [
        (None, True),
        (tmp_path, False),
        (tmp_path / "app.db", False),
    ]:
        read_only = {path} if path else set()
        assert await Database(engine).read_session.scalar(select(IsWritable())) is is_writable
    await engine.dispose()


async def test_sqlite_in_memory_is_writable() -> None:
    engine = make_engine(make_url("sqlite+aiosqlite://"))
    assert await Database(engine).read_session.scalar(select(IsWritable())) is True
    await engine.dispose()


@pytest.mark.parametrize(
    ("url", "connect_timeout"),
    [
        ("sqlite+aiosqlite:///app.db", None),
        ("postgresql+psycopg://user:password@127.0.0.1/app", "10"),
        ("postgresql+psycopg://user:password@127.0.0.1/app?connect_timeout=3", "3"),
    ],
)
async def test_migration_engine_keeps_no_connections_and_waits_to_connect(
    url: str, connect_timeout: str | None
) -> None:
    engine = make_migration_engine(make_url(url))
    assert isinstance(engine.pool, NullPool)
    assert engine.url.query.get("connect_timeout") == connect_timeout
    await engine.dispose()


async def test_autocommit_block_of_a_migration_has_no_transaction(tmp_path: Path) -> None:
    url = make_url("sqlite+aiosqlite://").set(database=str(tmp_path / "app.db"))
    engine = make_migration_engine(url)
    async with engine.connect() as connection, engine.begin() as writer:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await writer.execute(text("CREATE TABLE things (id INTEGER)"))
        # It would wait for the writer's lock.
        async with asyncio.timeout(5):
            assert await connection.scalar(select(1)) == 1
    await engine.dispose()


async def test_unreachable_server_is_a_transient_error_with_a_reason() -> None:
    database = Database(make_engine(make_url("postgresql+psycopg://u:hidden@127.0.0.1:9/x")))
    with pytest.raises(UnavailableError) as caught:
        await database.read_session.scalar(select(User.id))
    reason = str(caught.value.reason)
    assert "Connection refused" in reason
    assert "hidden" not in reason
    await database.engine.dispose()


class DriverConnection:
    """A connection as the pool hands it out, with its record. tests/faults has real ones."""

    def __init__(self, *, idle: float | None) -> None:
        self.info = {} if idle is None else {"used_at": time.monotonic() - idle}
        self.driver_connection = self
        self.pings = 0
        self.ended = False

    def run_async(self, function: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        assert function is PostgresConnection.ping
        self.pings += 1

    def has_ended(self) -> bool:
        return self.ended

    def check_out(self) -> None:
        module._check_postgresql(self, self, self)  # type: ignore[arg-type]  # a stand-in

    def check_in(self) -> None:
        module._note_use(self, self)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("idle", "pings"),
    [(None, 0), (0, 0), (PING_AFTER_SECONDS - 0.5, 0), (PING_AFTER_SECONDS, 1), (3600, 1)],
)
def test_connection_is_pinged_after_idleness_only(idle: float | None, pings: int) -> None:
    connection = DriverConnection(idle=idle)
    connection.check_out()
    assert connection.pings == pings


def test_use_puts_off_the_ping() -> None:
    connection = DriverConnection(idle=3600)
    connection.check_in()
    connection.check_out()
    assert connection.pings == 0


def test_connection_that_has_ended_is_replaced_without_a_ping() -> None:
    connection = DriverConnection(idle=3600)
    connection.ended = True
    with pytest.raises(DisconnectionError):
        connection.check_out()
    assert connection.pings == 0


@pytest.mark.parametrize(
    ("sqlstate", "is_disconnect"), [("25006", True), ("57P01", True), ("40001", False)]
)
def test_connection_to_a_server_that_takes_no_writes_is_dropped(
    sqlstate: str, is_disconnect: bool
) -> None:
    error = psycopg.errors.lookup(sqlstate)()
    context: Any = SimpleNamespace(
        original_exception=error,
        sqlalchemy_exception=DBAPIError("UPDATE", {}, error),
        is_disconnect=False,
    )
    assert isinstance(module._translate_error(context), UnavailableError)
    assert context.is_disconnect == is_disconnect
