"""Sessions: `ReadSession` for reads, SQLAlchemy's `AsyncSession` in a transaction for writes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar, TypeVarTuple

from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import Result, ScalarResult
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql.selectable import TypedReturnsRows

from app.core.config import VAR, Settings
from app.db.engine import make_engine
from app.db.local import local_database

Value = TypeVar("Value")
Columns = TypeVarTuple("Columns")


class ReadOnlyError(RuntimeError):
    """Read-only code has tried to change the database. This is a bug, so the client gets 500."""


class _ReadOnlySession(Session):
    def flush(self, objects: Any = None) -> None:  # noqa: ARG002 -- the signature of SQLAlchemy
        """Raise ReadOnlyError if there is something to write."""
        if self.new or self.dirty or self.deleted:
            raise ReadOnlyError(
                "an object of a ReadSession was changed, which stores nothing: load it with the "
                "session of a writing route (SessionDep) and change that one"
            )


@event.listens_for(_ReadOnlySession, "do_orm_execute")
def _reject_writes(state: ORMExecuteState) -> None:
    if not state.is_select:
        raise ReadOnlyError("a ReadSession runs SELECT statements only")


class ReadSession:
    """Runs SELECT statements, each in autocommit: one round trip and no transaction.

    It borrows a connection for each statement and holds none in between, so it is safe to hash a
    password, to call another service or to stream a response while you have one. It has no method
    that writes, and a change to an object that it has loaded raises ReadOnlyError.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def execute(
        self, statement: TypedReturnsRows[*Columns], params: dict[str, Any] | None = None
    ) -> Result[*Columns]:
        self.check_unchanged()
        try:
            result = await self._session.execute(statement, params)
            await self._session.commit()  # gives the connection back; there is nothing to commit
        except BaseException:
            await self._session.rollback()
            raise
        return result

    async def scalars(
        self, statement: TypedReturnsRows[Value], params: dict[str, Any] | None = None
    ) -> ScalarResult[Value]:
        return (await self.execute(statement, params)).scalars()

    async def scalar(
        self, statement: TypedReturnsRows[Value], params: dict[str, Any] | None = None
    ) -> Value | None:
        return (await self.scalars(statement, params)).first()

    def check_unchanged(self) -> None:
        """Raise ReadOnlyError if an object that this session has loaded was changed."""
        self._session.sync_session.flush()


# For queries that both kinds of routes need.
AnySession = ReadSession | AsyncSession


class Database:
    """Opens sessions on an engine.

    `session.begin()` writes in a transaction; `read_session()` only reads.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        # Objects stay readable after the commit: the response is made from them.
        self.session = async_sessionmaker(engine, expire_on_commit=False)
        self._read_session = async_sessionmaker(
            engine.execution_options(transactional=False),
            expire_on_commit=False,
            sync_session_class=_ReadOnlySession,
        )

    @asynccontextmanager
    async def read_session(self) -> AsyncIterator[ReadSession]:
        # Nothing has to be closed: a ReadSession holds no connection between statements.
        session = ReadSession(self._read_session())
        yield session
        session.check_unchanged()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        """Open the database of the settings and close its connections at the end."""
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
    """Yield the address of the database: DATABASE_URL, or else the database of this checkout."""
    if settings.database_url is None:
        with local_database(VAR) as url:
            yield url
    else:
        yield make_url(settings.database_url.get_secret_value())
