"""Every list of the service, found by its return type: `async def list_…(…) -> FetchedPage[…]`."""

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

import app.crud
from app.crud.page import FetchedPage
from app.db.session import Database
from app.models.user import User
from app.schemas.page import PageParams
from tests.db.rows import store_rows

# The user whose rows a list with a parameter `user_id` shows.
OWNER_ID = uuid7()


class List(NamedTuple):
    """One list in one order."""

    function: Callable[..., Awaitable[FetchedPage[Any]]]
    params: type[PageParams]
    model: Any
    sort: str

    def __str__(self) -> str:
        return f"{self.function.__name__}({self.sort})"

    @property
    def owner(self) -> dict[str, UUID]:
        """The argument for a list of one user's rows."""
        takes_owner = "user_id" in inspect.signature(self.function).parameters
        return {"user_id": OWNER_ID} if takes_owner else {}

    async def fetch(self, database: Database, **params: Any) -> FetchedPage[Any]:
        parsed = self.params.model_validate({"sort": self.sort, **params})
        async with database.read_session() as reader:
            return await self.function(reader, params=parsed, **self.owner)

    async def store_rows(self, database: Database, count: int) -> None:
        async with database.session.begin() as session:
            session.add_all(
                User(id=owner_id, email="owner@example.com", hashed_password="x")
                for owner_id in self.owner.values()
            )
            await session.flush()
            await session.run_sync(self._store_rows, count)

    def _store_rows(self, session: Session, count: int) -> None:
        """Store rows that are as equal as they can be, with rows of all tables that they refer to."""
        tables = [self.model.__table__]
        for table in tables:
            referred = (key.referred_table for key in table.foreign_key_constraints)
            tables += [table for table in referred if table not in tables]
        store_rows(session.connection(), tables, count)
        for name, owner_id in self.owner.items():
            session.execute(self.model.__table__.update().values({name: owner_id}))

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


def find_lists() -> Iterator[List]:
    for module_info in pkgutil.iter_modules(app.crud.__path__):
        module = importlib.import_module(f"app.crud.{module_info.name}")
        for function in vars(module).values():
            if not inspect.iscoroutinefunction(function) or function.__module__ != module.__name__:
                continue
            hints = get_type_hints(function)
            if get_origin(hints["return"]) is FetchedPage and module_info.name != "page":
                (model,) = get_args(hints["return"])
                params: type[PageParams] = hints["params"]
                for sort in get_args(params.model_fields["sort"].annotation):
                    yield List(function, params, model, sort)


LISTS = list(find_lists())
