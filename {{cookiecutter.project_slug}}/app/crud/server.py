"""Facts about the database server, for the start and for `python -m app.manage doctor`."""

from typing import Any, NamedTuple

from sqlalchemy import DateTime, Integer, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.base import utc_now

_POSTGRES = select(
    func.current_setting("server_version"),
    cast(func.current_setting("max_connections"), Integer)
    - cast(func.current_setting("superuser_reserved_connections"), Integer),
    func.pg_backend_pid(),
    func.clock_timestamp(type_=DateTime(timezone=True)),
)


class Server(NamedTuple):
    version: str
    # Connections that ordinary users may open, if the server has a limit.
    max_connections: int | None = None
    has_pooler: bool = False
    # Seconds that its clock is ahead of this host's.
    clock_ahead: float = 0


async def find_server(engine: AsyncEngine) -> Server:
    async with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            return Server(f"SQLite {await connection.scalar(select(func.sqlite_version()))}")
        version, max_connections, pid, clock = (await connection.execute(_POSTGRES)).one()
        clock_ahead = (clock - utc_now()).total_seconds()
        psycopg_connection: Any = (await connection.get_raw_connection()).driver_connection
        # A pooler sends its clients an ID of its own instead of the server process's.
        has_pooler = psycopg_connection.info.backend_pid != pid
        return Server(f"PostgreSQL {version}", max_connections, has_pooler, clock_ahead)
