"""Engines: how the service connects to PostgreSQL or SQLite."""

import time
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no types
from sqlalchemy import URL, event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.engine.interfaces import AdaptedConnection, DBAPIConnection, Dialect
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.core.config import PROJECT_SLUG
from app.core.exceptions import AppError, UnavailableError
from app.core.limits import CONNECT_TIMEOUT_SECONDS, PING_TIMEOUT_SECONDS, POOL_TIMEOUT_SECONDS
from app.db.errors import translate_db_error

# A connection that has been used within this time isn't pinged.
PING_AFTER_SECONDS = 1

# How long a writer of SQLite waits for another one.
SQLITE_BUSY_SECONDS = 10


def make_engine(
    url: URL,
    *,
    pool_size: int = 15,
    pool_timeout: float = POOL_TIMEOUT_SECONDS,
    statement_timeout: float = 10,
) -> AsyncEngine:
    """Make the engine of the service.

    It keeps at most *pool_size* connections and opens no extra ones: under load, opening and
    closing connections costs more than waiting for one. Times are in seconds. Errors of statements
    don't show parameters, which are personal data.
    """
    pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": pool_timeout}
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(
            url, hide_parameters=True, connect_args={"timeout": SQLITE_BUSY_SECONDS}, **pool
        )
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        engine = create_async_engine(
            url,
            hide_parameters=True,
            connect_args={
                "timeout": CONNECT_TIMEOUT_SECONDS,
                "server_settings": {
                    "application_name": PROJECT_SLUG,
                    "timezone": "UTC",
                    "statement_timeout": f"{statement_timeout * 1000:.0f}",
                    "idle_in_transaction_session_timeout": f"{2 * statement_timeout * 1000:.0f}",
                },
                # For a server that hangs and can't report its own time-out.
                "command_timeout": statement_timeout + 1,
            },
            **pool,
        )
        event.listen(engine.sync_engine, "do_connect", _connect_postgresql)
        event.listen(engine.sync_engine, "checkout", _ping_postgresql)
        event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "handle_error", _translate_error)
    return engine


def make_migration_engine(url: URL) -> AsyncEngine:
    """Make an engine for Alembic: one connection, and statements may take as long as they need."""
    if url.get_backend_name() == "sqlite":
        # Foreign keys stay off: to change a table, SQLite drops it and puts a copy in its place.
        engine = create_async_engine(
            url,
            hide_parameters=True,
            poolclass=NullPool,
            connect_args={"timeout": SQLITE_BUSY_SECONDS},
        )
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    # A migration that waits for a lock blocks all statements queued behind it, so it gives up soon.
    return create_async_engine(
        url,
        hide_parameters=True,
        poolclass=NullPool,
        connect_args={"server_settings": {"lock_timeout": "10s"}},
    )


def _translate_error(context: ExceptionContext) -> AppError | None:
    """Replace the driver's error with the domain's, where a service can still catch it."""
    return translate_db_error(context.sqlalchemy_exception or context.original_exception)


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # Readers and a writer don't block each other.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Python's sqlite3 begins late, and a transaction that has read can't wait for a writer when it
    # starts to write. So take the write lock first. Reads run in autocommit and begin nothing.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _connect_postgresql(
    dialect: Dialect, _record: ConnectionPoolEntry, arguments: Any, options: Any
) -> DBAPIConnection:
    try:
        return dialect.connect(*arguments, **options)
    except OSError as error:  # the network; TimeoutError is one too
        raise UnavailableError(retry_after=1) from error


def _note_use(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_postgresql(
    connection: AdaptedConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Check a connection that has been idle: like `pool_pre_ping`, but with a time-out.

    It takes one round trip instead of three. A closed connection is replaced, without a ping if the
    driver knows that it is closed. A server that doesn't answer the ping wouldn't answer on a new
    connection either.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
    used_at = record.info.get("used_at")
    if used_at is None or time.monotonic() - used_at < PING_AFTER_SECONDS:
        return
    try:
        connection.run_async(_ping)
    except TimeoutError as error:
        raise UnavailableError(retry_after=1) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DisconnectionError from error


async def _ping(connection: Any) -> None:
    try:
        await connection.execute("SELECT 1", timeout=PING_TIMEOUT_SECONDS)
    except BaseException:
        connection.terminate()  # a graceful close would wait 2 s for the server
        raise
