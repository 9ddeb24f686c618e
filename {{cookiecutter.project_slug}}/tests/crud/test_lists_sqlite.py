"""On SQLite, an index leads to the last page of many as fast as to the first one."""

import pytest

from app.db.session import Database
from tests.crud.lists import INDEXED, NO_INDEX, List


@pytest.mark.parametrize("list_", INDEXED, ids=str)
async def test_index_leads_to_every_page_of_every_list(database: Database, list_: List) -> None:
    """Without it, a page costs more the later it comes. SQLite shows its plan for a few rows too."""
    await list_.store_rows(database, 2)
    first = await list_.fetch(database, limit=1)
    plan = await list_.explain(database, "EXPLAIN QUERY PLAN", cursor=first.next_cursor)
    steps = [step.detail for step in plan]
    assert any(step.startswith(f"SEARCH {list_.table.name} USING") for step in steps), (
        NO_INDEX.format(list_, steps)
    )
    assert not any("TEMP B-TREE" in step for step in steps), NO_INDEX.format(list_, steps)
