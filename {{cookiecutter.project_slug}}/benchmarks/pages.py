"""The first and the last page of many users: `python -m benchmarks.pages [users]`.

Shows PostgreSQL's plan. Without arguments it fails if the last page takes more than twice the time of the first.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert, text
from uuid_utils.compat import uuid7

from app.core.cursor import Position
from app.crud.page import keyset_page
from app.crud.user import list_users
from app.db.base import utc_now
from app.db.local import local_database
from app.db.session import Database, make_engine
from app.models import User
from app.schemas.user import UserListParams, UserSort
from tests.support import alembic

LIMIT = 100
ROUNDS = 50
# With other numbers, as in the tests, what it measures need not be good.
STRICT = len(sys.argv) == 1
MAX_RATIO = 2
SORTS: tuple[UserSort, ...] = ("created_at", "-created_at", "email", "-email")


async def fill(database: Database, count: int) -> None:
    rows = [
        {"id": uuid7(), "email": f"user{number:06}@example.com", "hashed_password": "x"}
        for number in range(count)
    ]
    async with database.session.begin() as session:
        for start in range(0, count, 1000):
            now = utc_now()
            await session.execute(
                insert(User),
                [
                    {**row, "created_at": now, "updated_at": now}
                    for row in rows[start : start + 1000]
                ],
            )
        await session.execute(text("ANALYZE"))


async def find_position(database: Database, sort: UserSort, page: int) -> Position | None:
    """Where this page begins, by walking to it as a client does."""
    position = None
    async with database.read_session() as session:
        for _ in range(page - 1):
            params = UserListParams(limit=LIMIT, sort=sort)
            last = (await list_users(session, params, after=position, limit=LIMIT))[-1]
            value = last.email if sort.endswith("email") else last.created_at
            position = Position(value, last.id)
            session.expunge_all()
    return position


async def milliseconds(database: Database, sort: UserSort, position: Position | None) -> float:
    times = []
    for _ in range(ROUNDS):
        async with database.read_session() as session:
            started = time.perf_counter()
            params = UserListParams(limit=LIMIT, sort=sort)
            await list_users(session, params, after=position, limit=LIMIT + 1)
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


async def show_plan(database: Database, sort: UserSort, position: Position | None) -> None:
    column = User.email if sort.endswith("email") else User.created_at
    statement = keyset_page(
        User.__table__.select(),
        column,
        User.id,
        descending=sort.startswith("-"),
        after=position,
    ).limit(LIMIT + 1)
    sql = statement.compile(dialect=database.engine.dialect, compile_kwargs={"literal_binds": True})
    async with database.engine.connect() as connection:
        for line in await connection.scalars(text(f"EXPLAIN (ANALYZE, BUFFERS) {sql}")):
            print(f"    {line}")


async def measure(database: Database, count: int) -> None:
    await fill(database, count)
    pages = count // LIMIT
    for sort in SORTS:
        position = await find_position(database, sort, pages)
        first = await milliseconds(database, sort, None)
        last = await milliseconds(database, sort, position)
        print(f"{sort}: page 1 {first:.2f} ms, page {pages} {last:.2f} ms")
        if database.engine.dialect.name == "postgresql":
            await show_plan(database, sort, position)
        assert last < MAX_RATIO * first or not STRICT
    await database.engine.dispose()


def main(count: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # PostgreSQL may run as another user
        with local_database(Path(name).resolve()) as url:
            alembic(url, "upgrade", "head")
            asyncio.run(measure(Database(make_engine(url)), count))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
