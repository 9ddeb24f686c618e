"""The last page of many costs what the first one does, on PostgreSQL."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from sqlalchemy import insert, text
from uuid_utils.compat import uuid7

from app.core.cursor import Position
from app.crud.user import list_users
from app.db.base import utc_now
from app.db.session import Database
from app.models import User
from app.schemas.user import UserListParams, UserSort
from tests.support import explain, position

USERS = 5000
LIMIT = 50
INDEXES = {"created_at": "ix_users_created_at_id", "email": "uq_users_email"}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def cost(database: Database, sort: UserSort, after: Position | None) -> tuple[int, int]:
    """How many rows and how many blocks of memory PostgreSQL looks at for a page."""
    how = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
    ((((result,),),)) = await explain(database, how, sort, after, LIMIT)
    *_, scan = nodes(result["Plan"])
    assert scan["Node Type"] == "Index Scan", result
    assert scan["Index Name"] == INDEXES[sort.removeprefix("-")]
    rows = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    return rows, scan["Shared Hit Blocks"] + scan["Shared Read Blocks"]


@pytest.mark.parametrize("sort", get_args(UserSort))
async def test_last_page(database: Database, sort: UserSort) -> None:
    now = utc_now()
    users = [
        {"id": uuid7(), "email": f"{n:04}@example.com", "hashed_password": "x", "created_at": now}
        for n in range(USERS)
    ]
    async with database.session.begin() as session:
        await session.execute(insert(User), users)
        await session.execute(text("ANALYZE users"))
    async with database.read_session() as session:
        params = UserListParams(sort=sort)
        everybody = await list_users(session, params, after=None, limit=USERS)
    rows, blocks = await cost(database, sort, None)
    last_rows, last_blocks = await cost(database, sort, position(everybody[-LIMIT - 1], sort))
    assert last_rows <= rows + 1
    assert last_blocks <= 2 * blocks
