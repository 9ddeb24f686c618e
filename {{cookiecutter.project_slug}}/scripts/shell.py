"""A Python prompt with the database at hand: `poe shell`, or `poe shell --sandbox`.

`await` works. There are `session`, `reader`, `settings`, `select`, `func`, each model, and each
service by its module, such as `user_service`. Call `await session.commit()` to keep changes; in a
sandbox, nothing is kept.
"""

import argparse
import ast
import code
import importlib
import inspect
import pkgutil
import sys
import types
from asyncio import Runner, SelectorEventLoop
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

import app.models
import app.services
from app.core.config import get_settings
from app.db.base import Base
from app.db.errors import exit_on_db_error
from app.db.session import Database


class AsyncConsole(code.InteractiveConsole):
    """A prompt that takes `await`."""

    def __init__(self, names: dict[str, Any], runner: Runner) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.names = names
        self.runner = runner

    def runcode(self, code: types.CodeType) -> None:
        try:
            result = types.FunctionType(code, self.names)()
            if inspect.iscoroutine(result):
                self.runner.run(result)
        except SystemExit:
            raise
        except BaseException:  # noqa: BLE001 -- a prompt shows every error and goes on
            self.showtraceback()


async def open_session(stack: AsyncExitStack, database: Database, *, sandbox: bool) -> AsyncSession:
    if not sandbox:
        return await stack.enter_async_context(database.session())
    connection = await stack.enter_async_context(database.engine.connect())
    transaction = await connection.begin()
    stack.push_async_callback(transaction.rollback)
    # commit() ends a savepoint only.
    session = AsyncSession(
        connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
    )
    return await stack.enter_async_context(session)


async def open_names(stack: AsyncExitStack, *, sandbox: bool) -> dict[str, Any]:
    settings = get_settings()
    database = await stack.enter_async_context(Database.open(settings))
    package = app.services
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {
        **{mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers},
        **{name: importlib.import_module(f"{package.__name__}.{name}") for name in modules},
        "session": await open_session(stack, database, sandbox=sandbox),
        "reader": database.read_session,
        "settings": settings,
        "select": select,
        "func": func,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="poe shell")
    parser.add_argument("--sandbox", action="store_true", help="keep no change")
    sandbox = parser.parse_args().sandbox
    with exit_on_db_error(), Runner(loop_factory=SelectorEventLoop) as runner:
        stack = AsyncExitStack()
        try:
            names = runner.run(open_names(stack, sandbox=sandbox))
            console = AsyncConsole(names, runner)
            console.interact("\n".join([f"Python {sys.version.split()[0]}", __doc__ or ""]), "")
        finally:
            runner.run(stack.aclose())


if __name__ == "__main__":
    main()
