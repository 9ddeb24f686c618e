"""The engine and its sessions."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import asyncpg  # type: ignore[import-untyped]  # has no types
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import Connection, Result
from sqlalchemy.engine.interfaces import AdaptedConnection, DBAPIConnection, Dialect
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.core.config import PROJECT_SLUG, VAR, Settings
from app.db.local import local_database

# A request waits for its turn (0.5 s, in app/http/middleware.py), for a connection of the pool
# (DATABASE_POOL_TIMEOUT) and for one of these: less than 2 s, after which it is answered 503.
CONNECT_TIMEOUT_SECONDS = 0.75
PING_TIMEOUT_SECONDS = 0.5

SQLITE_BUSY_SECONDS = 10
"""How long a writer of SQLite waits for another one."""


class ReadOnlySessionError(RuntimeError):
    """Code that answers a GET, or serves a WebSocket, tried to write with the session it was given."""

    def __init__(self) -> None:
        super().__init__(
            "a GET or HEAD request must not change the database; "
            "a WebSocket does so with database.session.begin()"
        )


class ReadOnlySession(Session):
    """Refuses to write: a GET gets no transaction that could be committed."""

    def flush(self, objects: Any = None) -> None:
        if self.new or self.dirty or self.deleted:
            raise ReadOnlySessionError
        super().flush(objects)


@event.listens_for(ReadOnlySession, "do_orm_execute")
def _refuse_writes(state: ORMExecuteState) -> None:
    if not state.is_select:
        raise ReadOnlySessionError


class SocketSession(ReadOnlySession):
    """Gives its connection back after each statement: a WebSocket may stay open for days.

    It forgets what it has read, too, so that the next statement tells what is true by then.
    """


@event.listens_for(SocketSession, "do_orm_execute")
def _give_connection_back(state: ORMExecuteState) -> Result[Any] | None:
    if state.is_relationship_load:
        return None  # a part of the statement that reads the parents
    try:
        rows = state.invoke_statement().freeze()
    finally:
        state.session.close()
    return rows()


def make_engine(
    url: URL, *, pool_size: int = 15, pool_timeout: float = 0.5, statement_timeout: float = 10
) -> AsyncEngine:
    """Make the engine of a service. At the most *pool_size* connections, and none beyond it for a
    moment: under load, opening and closing connections costs more than waiting for one.

    Errors of statements don't show parameters, which are personal data: they go into the log.
    """
    pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": pool_timeout}
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(
            url, hide_parameters=True, connect_args={"timeout": SQLITE_BUSY_SECONDS}, **pool
        )
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
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
            # For a server that doesn't even answer that it has given up.
            "command_timeout": statement_timeout + 1,
        },
        **pool,
    )
    event.listen(engine.sync_engine, "do_connect", _connect_postgresql)
    event.listen(engine.sync_engine, "checkout", _ping_postgresql)
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
    # A migration that waits for a lock makes everybody behind it wait: it gives up instead.
    return create_async_engine(
        url,
        hide_parameters=True,
        poolclass=NullPool,
        connect_args={"server_settings": {"lock_timeout": "10s"}},
    )


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # Readers and a writer don't block each other.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Python's sqlite3 begins late, and a reader that turns writer can't wait for another writer:
    # take the write lock first. Sessions that only read begin nothing.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _connect_postgresql(
    dialect: Dialect, _record: ConnectionPoolEntry, arguments: Any, options: Any
) -> DBAPIConnection:
    """Raises ConnectionError for whatever the network has against it."""
    try:
        return dialect.connect(*arguments, **options)
    except OSError as error:
        raise ConnectionError("the database can't be reached") from error


def _ping_postgresql(
    connection: AdaptedConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Like SQLAlchemy's `pool_pre_ping`, but in one round trip in place of three, and with a time-out.

    A connection that was closed is replaced by a new one. A server that doesn't answer would not
    answer to that either: TimeoutError.
    """
    if "used" not in record.info:
        record.info["used"] = True
        return
    try:
        connection.run_async(_ping)
    except TimeoutError:
        raise
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DisconnectionError from error


async def _ping(connection: Any) -> None:
    try:
        await connection.execute("SELECT 1", timeout=PING_TIMEOUT_SECONDS)
    except BaseException:
        connection.terminate()  # SQLAlchemy would take leave of the server, and wait 2 s for that
        raise


class Database:
    """Makes sessions: `session()` writes in a transaction, `read_session()` only reads, without one,
    `socket_session()` does the same for a WebSocket.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        # Objects stay readable after the commit: the response is made from them.
        self.session = async_sessionmaker(engine, expire_on_commit=False)
        reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.read_session = async_sessionmaker(
            reading, expire_on_commit=False, sync_session_class=ReadOnlySession
        )
        self.socket_session = async_sessionmaker(
            reading, expire_on_commit=False, sync_session_class=SocketSession
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        """Give the database of the settings; its connections are closed at the end."""
        with database_url(settings) as url:
            engine = make_engine(
                url,
                pool_size=settings.database_pool_size,
                pool_timeout=settings.database_pool_timeout,
                statement_timeout=settings.database_statement_timeout,
            )
            try:
                yield cls(engine)
            finally:
                await engine.dispose()


@contextmanager
def database_url(settings: Settings) -> Iterator[URL]:
    """Give the address of the database: DATABASE_URL, or else the database of this checkout."""
    if settings.database_url is None:
        with local_database(VAR) as url:
            yield url
    else:
        yield make_url(settings.database_url.get_secret_value())
