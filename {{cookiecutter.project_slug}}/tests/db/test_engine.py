"""Engines: SQLite's settings, and when a connection to PostgreSQL is pinged."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no types
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import NullPool

from app.core.exceptions import UnavailableError
from app.db import engine as module
from app.db.engine import PING_AFTER_SECONDS, make_engine, make_migration_engine
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


@pytest.mark.parametrize(
    "url", ["sqlite+aiosqlite:///app.db", "postgresql+asyncpg://user:password@127.0.0.1/app"]
)
async def test_migration_engine_keeps_no_connections(url: str) -> None:
    engine = make_migration_engine(make_url(url))
    assert isinstance(engine.pool, NullPool)
    await engine.dispose()


async def test_unreachable_server_is_a_transient_error() -> None:
    database = Database(make_engine(make_url("postgresql+asyncpg://u:p@127.0.0.1:9/x")))
    with pytest.raises(UnavailableError) as caught:
        await database.read_session.scalar(select(User.id))
    assert isinstance(caught.value.__cause__, OSError)
    await database.engine.dispose()


class Connection:
    """A connection as the pool hands it out, with its record. tests/faults has real ones."""

    def __init__(self, *, idle: float | None, error: Exception | None = None) -> None:
        self.info = {} if idle is None else {"used_at": time.monotonic() - idle}
        self.driver_connection = self
        self.error = error
        self.pings = 0
        self.closed = False

    def run_async(self, function: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(function(self))

    async def execute(self, *_: str, **__: float) -> None:
        self.pings += 1
        if self.error:
            raise self.error

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True

    def check_out(self) -> None:
        module._ping_postgresql(self, self, self)  # type: ignore[arg-type]  # a stand-in

    def check_in(self) -> None:
        module._note_use(self, self)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("idle", "pings"),
    [(None, 0), (0, 0), (PING_AFTER_SECONDS - 0.5, 0), (PING_AFTER_SECONDS, 1), (3600, 1)],
)
def test_connection_is_pinged_after_idleness_only(idle: float | None, pings: int) -> None:
    connection = Connection(idle=idle)
    connection.check_out()
    assert connection.pings == pings
    assert not connection.closed


def test_use_puts_off_the_ping() -> None:
    connection = Connection(idle=3600)
    connection.check_in()
    connection.check_out()
    assert connection.pings == 0


def test_connection_whose_end_was_noticed_is_replaced_without_a_ping() -> None:
    connection = Connection(idle=0)
    connection.closed = True
    with pytest.raises(DisconnectionError):
        connection.check_out()
    assert connection.pings == 0


@pytest.mark.parametrize("error", [ConnectionResetError(), asyncpg.InterfaceError("closed")])
def test_connection_that_was_lost_is_replaced(error: Exception) -> None:
    connection = Connection(idle=3600, error=error)
    with pytest.raises(DisconnectionError) as caught:
        connection.check_out()
    assert caught.value.__cause__ is error
    assert connection.closed


def test_server_that_does_not_answer_the_ping_is_a_transient_error() -> None:
    """A new connection would get no answer either."""
    connection = Connection(idle=3600, error=TimeoutError())
    with pytest.raises(UnavailableError) as caught:
        connection.check_out()
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert connection.closed
