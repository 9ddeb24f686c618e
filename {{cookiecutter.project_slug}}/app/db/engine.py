"""Engines: how the service connects to PostgreSQL or SQLite."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.engine.interfaces import AdaptedConnection, DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.core.exceptions import AppError
from app.core.limits import POOL_TIMEOUT_SECONDS
from app.db.errors import needs_new_connection, translate_db_error
from app.db.pool import FairPool
from app.db.postgresql import PostgresConnection

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection

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

    Its connections are in autocommit. Transactions begin with an explicit statement, unless the
    execution option `transactional` is false.
    """
    engine = _create_engine(
        url,
        # One second more: the server's own time-out comes first, if there is one.
        time_limit=statement_timeout + 1,
        isolation_level="AUTOCOMMIT",
        poolclass=FairPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        # Python's sqlite3 begins late, and a transaction that has read can't wait for a writer when
        # it starts to write. So take the write lock first.
        begin = "BEGIN IMMEDIATE"
    else:
        event.listen(engine.sync_engine, "checkout", _check_postgresql)
        event.listen(engine.sync_engine, "checkin", _note_use)
        # In the same round trip. Settings of the session would get lost behind a pooler.
        milliseconds = round(statement_timeout * 1000)
        statements = (
            "BEGIN",
            f"SET LOCAL statement_timeout = {milliseconds}",
            f"SET LOCAL idle_in_transaction_session_timeout = {2 * milliseconds}",
        )
        begin = ";".join(statements)

    def begin_transaction(connection: Connection) -> None:
        if connection.get_execution_options().get("transactional", True):
            connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "begin", begin_transaction)
    event.listen(engine.sync_engine, "handle_error", _translate_error)
    return engine


def make_migration_engine(url: URL) -> AsyncEngine:
    """Make an engine for Alembic: it keeps no connection, and statements may take any time."""
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        # No request waits, and a database that its host has suspended takes seconds to wake up.
        url = url.update_query_dict({"connect_timeout": "10"})
    engine = _create_engine(url, time_limit=None, poolclass=NullPool)
    if url.get_backend_name() == "sqlite":
        # Foreign keys stay off: to change a table, SQLite drops it and puts a copy in its place.
        begin = "BEGIN IMMEDIATE"
    else:
        # For revisions that say nothing. alembic/script.py.mako has the reason.
        begin = "SET LOCAL lock_timeout = '10s'"

    def begin_transaction(connection: Connection) -> None:
        # Alembic's `autocommit_block()` has no transaction.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "begin", begin_transaction)
    return engine


def _create_engine(url: URL, *, time_limit: float | None, **options: Any) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        arguments: dict[str, Any] = {"timeout": SQLITE_BUSY_SECONDS}
    else:
        arguments = {"async_creator_fn": PostgresConnection.open, "time_limit": time_limit}
        options["use_native_hstore"] = False  # would ask each new server whether it has the type
    return create_async_engine(url, hide_parameters=True, connect_args=arguments, **options)


def _translate_error(context: ExceptionContext) -> AppError | None:
    """Replace the driver's error with the domain's, where a service can still catch it."""
    if needs_new_connection(context.original_exception):
        context.is_disconnect = True
    return translate_db_error(context.sqlalchemy_exception or context.original_exception)


def _set_up_sqlite(
    connection: "AsyncAdapt_aiosqlite_connection", _record: ConnectionPoolEntry
) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # Readers and a writer don't block each other.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA database_list")
    path = cursor.fetchall()[0][2]
    cursor.close()
    # SQLite can't say so itself. A statement that wants to know calls `is_writable()`.
    connection.create_function("is_writable", 0, lambda: _is_writable(path))


def _is_writable(path: str) -> bool:
    """Check the file and its folder, where a writer makes other files; "" is a database in memory."""
    return not path or (os.access(path, os.W_OK) and os.access(Path(path).parent, os.W_OK))


def _note_use(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _check_postgresql(
    connection: AdaptedConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Replace a connection that has ended. Ping one that has been idle, like `pool_pre_ping`.

    Unlike that, the ping has a time-out and takes one round trip instead of three. A server that
    doesn't answer it wouldn't answer on a new connection either.
    """
    driver_connection: PostgresConnection = connection.driver_connection
    if driver_connection.has_ended():
        raise DisconnectionError
    used_at = record.info.get("used_at")
    if used_at is not None and time.monotonic() - used_at >= PING_AFTER_SECONDS:
        connection.run_async(PostgresConnection.ping)
