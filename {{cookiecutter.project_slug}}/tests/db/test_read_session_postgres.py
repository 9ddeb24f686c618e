"""A read is one round trip: PostgreSQL sees no transaction around it."""

import asyncpg  # type: ignore[import-untyped]  # has no types
from sqlalchemy import URL, func, select

from app.db.session import Database


async def test_server_sees_neither_begin_nor_commit(
    database: Database, migrated_database_url: URL
) -> None:
    url = migrated_database_url.set(drivername="postgresql")
    observer = await asyncpg.connect(url.render_as_string(hide_password=False))
    async with database.read_session() as reader:
        pid = await reader.scalar(select(func.pg_backend_pid()))
        seen = await observer.fetchrow(
            "SELECT state, query FROM pg_stat_activity WHERE pid = $1", pid
        )
    await observer.close()
    # A transaction would be open still, or a COMMIT or ROLLBACK would be the last statement.
    assert seen["state"] == "idle"
    assert seen["query"].startswith("SELECT pg_backend_pid()")
