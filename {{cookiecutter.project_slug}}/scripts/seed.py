"""Stores sample rows for development, by the factories in `tests/factories`: `poe seed`.

They belong to the first superuser. Tables that have enough rows stay as they are, so it may run
again after each new resource.
"""

import importlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import ROOT, get_settings
from app.core.event_loop import run
from app.core.exceptions import ConflictError
from app.crud.user import find_user_by_email
from app.db.base import Base
from app.db.errors import exit_on_db_error
from app.db.session import Database

ROWS = 10
# A factory counts from 1 in each run, so the first numbers may be taken.
ATTEMPTS = 1000

Factory = Callable[[AsyncSession, UUID], Awaitable[Base]]


def find_factories() -> dict[str, Factory]:
    """Find the function `add_order` in tests/factories/order.py, and all others."""
    names = sorted(path.stem for path in (ROOT / "tests/factories").glob("*.py"))
    modules = {name: importlib.import_module(f"tests.factories.{name}") for name in names}
    return {name: getattr(module, f"add_{name}") for name, module in modules.items()}


async def add_rows(session: AsyncSession, factory: Factory, user_id: UUID) -> int:
    """Store rows until the table has enough. Return how many."""
    model: Any = inspect.signature(factory).return_annotation
    count = await session.scalar(select(func.count()).select_from(model)) or 0
    added = 0
    for _ in range(ATTEMPTS):
        if count + added >= ROWS:
            break
        try:
            async with session.begin_nested():
                await factory(session, user_id)
            added += 1
        except ConflictError:
            continue
    return added


async def seed() -> None:
    settings = get_settings()
    if settings.is_deployed:
        raise SystemExit("poe seed: sample rows are for development, not for a deployed service")
    async with Database.open(settings) as database, database.session.begin() as session:
        user = await find_user_by_email(session, settings.first_superuser_email or "")
        if user is None:
            raise SystemExit(
                "poe seed: there is no first superuser; run `python -m app.db.init_db`"
            )
        factories = find_factories()
        if not factories:
            print("There are no factories in tests/factories; `poe resource` writes them.")
        for name, factory in factories.items():
            print(f"{name}: {await add_rows(session, factory, user.id)} rows added")


if __name__ == "__main__":
    with exit_on_db_error():
        run(seed())
