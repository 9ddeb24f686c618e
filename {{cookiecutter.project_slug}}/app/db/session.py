"""Sessions: `ReadSession` for reads, SQLAlchemy's `AsyncSession` in a transaction for writes."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, Self, TypeVar, TypeVarTuple
from weakref import WeakSet

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import URL, CompoundSelect, Row, Select, make_url
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.selectable import TypedReturnsRows

from app.core.config import VAR, Settings
from app.core.exceptions import UnavailableError
from app.db.engine import make_engine
from app.db.errors import describe_db_error
from app.db.local import local_database

Value = TypeVar("Value")
Columns = TypeVarTuple("Columns")
Schema = TypeVar("Schema", bound=BaseModel)


class ReadOnlyError(RuntimeError):
    """Read-only code has tried to change the database. This is a bug, so the client gets 500."""


class ReadSession:
    """Runs SELECT statements, each in autocommit: one round trip and no transaction.

    It returns rows of columns, or schemas made from them, and never ORM objects: nothing that it
    returns can be changed and then lost, and rows cost half as much. It borrows a connection for
    each statement and holds none in between, so all requests share one ReadSession, and it is safe
    to hash a password, to call another service or to stream a response while you use it.

    A statement that is built once, as a constant of a module with `bindparam()`, costs less than
    one that is built for each call.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(transactional=False)
        self._checked: WeakSet[object] = WeakSet()

    async def all(
        self, statement: TypedReturnsRows[*Columns], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row[*Columns]]:
        if statement not in self._checked:
            self._check(statement)
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(statement, params)).all()
        except PoolTimeoutError as error:
            raise UnavailableError(retry_after=1, reason=describe_db_error(error)) from error

    async def first(
        self, statement: TypedReturnsRows[*Columns], params: Mapping[str, Any] | None = None
    ) -> Row[*Columns] | None:
        rows = await self.all(statement, params)
        return rows[0] if rows else None

    async def scalars(
        self, statement: TypedReturnsRows[Value], params: Mapping[str, Any] | None = None
    ) -> list[Value]:
        return [value for (value,) in await self.all(statement, params)]

    async def scalar(
        self, statement: TypedReturnsRows[Value], params: Mapping[str, Any] | None = None
    ) -> Value | None:
        row = await self.first(statement, params)
        return row[0] if row else None

    async def first_as(
        self,
        schema: type[Schema],
        statement: TypedReturnsRows[*tuple[Any, ...]],
        params: Mapping[str, Any] | None = None,
    ) -> Schema | None:
        """Return the first row as a schema, which takes the columns that its fields name."""
        rows = await self.all_as(schema, statement, params)
        return rows[0] if rows else None

    async def all_as(
        self,
        schema: type[Schema],
        statement: TypedReturnsRows[*tuple[Any, ...]],
        params: Mapping[str, Any] | None = None,
    ) -> list[Schema]:
        return make_schemas(schema, await self.all(statement, params))

    def _check(self, statement: TypedReturnsRows[*tuple[Any, ...]]) -> None:
        if not isinstance(statement, Select | CompoundSelect):
            raise ReadOnlyError("a ReadSession runs SELECT statements only")
        columns = getattr(statement, "column_descriptions", ())
        if any(column["expr"] is column.get("entity") for column in columns):
            raise ReadOnlyError(
                "a ReadSession selects columns, not entities: select(*columns_of(OrderRead, Order))"
            )
        self._checked.add(statement)


def make_schemas(schema: type[Schema], rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Schema]:
    """Make a schema from each row. Columns that it has no field for are ignored."""
    if not rows:
        return []
    names = rows[0]._fields
    # From dictionaries it takes a quarter of the time that attributes of rows take.
    return _list_of(schema).validate_python([dict(zip(names, row, strict=True)) for row in rows])


@cache
def _list_of(schema: type[Schema]) -> TypeAdapter[list[Schema]]:
    return TypeAdapter(list[schema])  # type: ignore[valid-type]  # a type that is known at run time only


def columns_of(schema: type[BaseModel], model: type[Any]) -> list[InstrumentedAttribute[Any]]:
    """Return the columns of *model* that the fields of *schema* name.

    Add others, such as a count, to the same `select()`: `func.count().label("reviews")`.
    """
    return [getattr(model, name) for name in schema.model_fields if hasattr(model, name)]


class Database:
    """Opens sessions on an engine.

    `session.begin()` writes in a transaction; `read_session` only reads.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        # Objects stay readable after the commit: the response is made from them.
        self.session = async_sessionmaker(engine, expire_on_commit=False)
        self.read_session = ReadSession(engine)

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
