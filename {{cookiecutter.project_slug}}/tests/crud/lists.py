"""Every list of the service, found by its return type: `async def list_…(…) -> FetchedPage[…]`."""

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from sqlalchemy import Connection, Table, event

import app.crud
from app.crud.page import FetchedPage
from app.db.base import Base
from app.db.session import Database
from app.schemas.page import PageParams
from tests.db.rows import make_row, store_rows


class List(NamedTuple):
    """One list in one order."""

    function: Callable[..., Awaitable[FetchedPage[Any]]]
    params: type[PageParams]
    table: Table
    sort: str

    def __str__(self) -> str:
        return f"{self.function.__name__}({self.sort})"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments other than the session and the parameters.

        A foreign key, such as `user_id`, selects rows that refer to the first row of its table. Any
        other argument is None.
        """
        keys = {
            column.name: make_row(key.column.table, 0)[key.column.key]
            for column in self.table.columns
            for key in column.foreign_keys
        }
        _, *others = inspect.signature(self.function).parameters.values()
        return {
            parameter.name: keys.get(parameter.name)
            for parameter in others
            if parameter.name != "params" and parameter.default is parameter.empty
        }

    async def fetch(self, database: Database, **params: Any) -> FetchedPage[Any]:
        parsed = self.params.model_validate({"sort": self.sort, **params})
        return await self.function(database.read_session, params=parsed, **self.arguments)

    async def store_rows(self, database: Database, count: int) -> None:
        async with database.engine.begin() as connection:
            await connection.run_sync(self._store_rows, count)

    def _store_rows(self, connection: Connection, count: int) -> None:
        """Store rows that are as equal as they can be, and rows of all tables that they refer to."""
        tables = [self.table]
        for table in tables:
            referred = dict.fromkeys(key.referred_table for key in table.foreign_key_constraints)
            tables += [table for table in referred if table not in tables]
        own = {name: value for name, value in self.arguments.items() if value is not None}
        store_rows(connection, tables, count, own)

    async def explain(self, database: Database, command: str, **params: Any) -> list[Any]:
        """Fetch a page, and return what the EXPLAIN *command* says about its statement."""
        executed: list[tuple[str, Any]] = []

        def note(
            _connection: object, _cursor: object, statement: str, values: object, *_: object
        ) -> None:
            executed.append((statement, values))

        engine = database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        await self.fetch(database, **params)
        event.remove(engine, "before_cursor_execute", note)
        ((statement, values),) = executed
        async with database.engine.connect() as connection:
            return list(await connection.exec_driver_sql(f"{command} {statement}", values))


# Models of lists whose schema isn't called like the model, such as `OrderRead` of `Order`.
MODELS: dict[str, type[Base]] = {}


def find_model(function: str, schema: str) -> Any:
    models = {mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers}
    model = MODELS.get(function) or models.get(schema.removesuffix("Read"))
    assert model, f"add the model that {function} lists to MODELS in {__file__}"
    return model


def find_lists() -> Iterator[List]:
    for module_info in pkgutil.iter_modules(app.crud.__path__):
        module = importlib.import_module(f"app.crud.{module_info.name}")
        for function in vars(module).values():
            if not inspect.iscoroutinefunction(function) or function.__module__ != module.__name__:
                continue
            hints = get_type_hints(function)
            if get_origin(hints["return"]) is FetchedPage and module_info.name != "page":
                (schema,) = get_args(hints["return"])
                model = find_model(function.__name__, schema.__name__)
                params: type[PageParams] = hints["params"]
                for sort in get_args(params.model_fields["sort"].annotation):
                    yield List(function, params, model.__table__, sort)


# Names of lists that depend on rows of other tables, such as a feed of followed users. The tests here
# store no such rows, so these lists need tests of their own.
DEPENDENT: set[str] = set()
LISTS = [list_ for list_ in find_lists() if list_.function.__name__ not in DEPENDENT]

# Names of lists that stay short, and are sorted without an index.
SHORT: set[str] = set()
# Lists whose every page costs the same, since the column that they are sorted by is never NULL.
INDEXED = [
    list_
    for list_ in LISTS
    if not getattr(list_.table.columns.get(list_.sort.removeprefix("-")), "nullable", True)
    and list_.function.__name__ not in SHORT
]
NO_INDEX = (
    "{0}: the model needs an Index of the columns that the list is filtered by, the column that it "
    "is sorted by and the primary key; if the list stays short, add {0.function.__name__!r} to SHORT "
    "in tests/crud/lists.py. The plan: {1}"
)
