"""Every list of the service, in every order."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from app.db.base import Base
from app.db.engine import make_engine
from app.db.session import Database
from tests.crud.lists import INDEXED, LISTS, NO_INDEX, List


def test_lists_are_found() -> None:
    assert "list_users(-email)" in {str(list_) for list_ in LISTS}


@pytest.mark.parametrize("list_", LISTS, ids=str)
async def test_pages_of_every_list_agree_with_the_whole(database: Database, list_: List) -> None:
    await list_.store_rows(database, 5)
    whole = await list_.fetch(database, limit=100)
    assert len(whole.items) == 5, "the list filters rows out: see VALUES in tests/db/rows.py"
    found: list[Any] = []
    cursor = None
    for _ in whole.items:
        page = await list_.fetch(database, limit=1, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
    assert cursor is None
    assert found == whole.items


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with all tables of the models."""
    url = make_url("sqlite+aiosqlite://").set(database=str(tmp_path / "app.db"))
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield Database(engine)
    await engine.dispose()


@pytest.mark.parametrize("list_", INDEXED, ids=str)
async def test_index_leads_to_every_page_of_every_list(sqlite: Database, list_: List) -> None:
    """Without it, a page costs more the later it comes. SQLite shows its plan for a few rows too."""
    await list_.store_rows(sqlite, 2)
    first = await list_.fetch(sqlite, limit=1)
    plan = await list_.explain(sqlite, "EXPLAIN QUERY PLAN", cursor=first.next_cursor)
    steps = [step.detail for step in plan]
    assert any(step.startswith(f"SEARCH {list_.table.name} USING") for step in steps), (
        NO_INDEX.format(list_, steps)
    )
    assert not any("TEMP B-TREE" in step for step in steps), NO_INDEX.format(list_, steps)
