"""On PostgreSQL, the last page of many costs what the first one does."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import Database
from tests.crud.lists import INDEXED, NO_INDEX, List

ROWS = 3000
LIMIT = 50


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def cost(database: Database, list_: List, cursor: str | None) -> tuple[int, int]:
    """Return how many rows and how many blocks of memory PostgreSQL looks at for a page."""
    command = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
    ((((result,),),)) = await list_.explain(database, command, limit=LIMIT, cursor=cursor)
    name = list_.table.name
    (scan,) = [node for node in nodes(result["Plan"]) if node.get("Relation Name") == name]
    assert "Index" in scan["Node Type"], NO_INDEX.format(list_, result)
    rows = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    return rows, scan["Shared Hit Blocks"] + scan["Shared Read Blocks"]


@pytest.mark.parametrize("list_", INDEXED, ids=str)
async def test_last_page_of_every_list_costs_what_the_first_one_does(
    database: Database, list_: List
) -> None:
    await list_.store_rows(database, ROWS)
    async with database.engine.connect() as connection:
        # The rows of earlier tests, which have the same keys, are in the index until then.
        outside = await connection.execution_options(transactional=False)
        await outside.execute(text(f"VACUUM ANALYZE {list_.table.name}"))
    cursor = last_cursor = None
    while True:
        page = await list_.fetch(database, limit=100, cursor=cursor)
        if page.next_cursor is None:
            break
        last_cursor = cursor = page.next_cursor
    rows, blocks = await cost(database, list_, None)
    last_rows, last_blocks = await cost(database, list_, last_cursor)
    assert last_rows <= rows + 1
    assert last_blocks <= 2 * blocks
