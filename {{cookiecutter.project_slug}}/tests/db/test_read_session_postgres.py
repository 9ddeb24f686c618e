"""A read is one round trip: PostgreSQL sees no transaction around it."""

import psycopg
from sqlalchemy import URL, func, select

from app.db.session import Database


async def test_server_sees_neither_begin_nor_commit(
    database: Database, migrated_database_url: URL
) -> None:
    url = migrated_database_url.set(drivername="postgresql")
    observer = await psycopg.AsyncConnection.connect(url.render_as_string(hide_password=False))
    async with observer:
        pid = await database.read_session.scalar(select(func.pg_backend_pid()))
        seen = await observer.execute(
            "SELECT state, query FROM pg_stat_activity WHERE pid = %s", [pid]
        )
        state, query = await seen.fetchone() or ("", "")
    # A transaction would be open still, or a COMMIT or ROLLBACK would be the last statement.
    assert state == "idle"
    assert query.startswith("SELECT pg_backend_pid()")
