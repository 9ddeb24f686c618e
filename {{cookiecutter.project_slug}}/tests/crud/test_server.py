"""Facts about the database server. The server of PostgreSQL is a fake: this service may use SQLite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url

from app.crud.server import find_server
from app.db.base import utc_now
from app.db.engine import make_engine


async def test_sqlite_has_no_limit_of_connections(tmp_path: Path) -> None:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/new.db"))
    server = await find_server(engine)
    await engine.dispose()
    assert server.version.startswith("SQLite 3.")
    assert server.max_connections is None


class Postgres:
    """An engine, and its connection, of an old server whose clock is a minute fast."""

    dialect = SimpleNamespace(name="postgresql")

    def __init__(self, backend_pid: int) -> None:
        self.info = SimpleNamespace(backend_pid=backend_pid)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        yield self

    async def execute(self, _statement: object) -> Any:
        row = ("14.20 (Debian)", 97, 1234, utc_now() + timedelta(minutes=1))
        return SimpleNamespace(one=lambda: row)

    async def get_raw_connection(self) -> Any:
        return SimpleNamespace(driver_connection=self)


@pytest.mark.parametrize(("backend_pid", "has_pooler"), [(1234, False), (7, True)])
async def test_server_of_postgresql_is_described(backend_pid: int, has_pooler: bool) -> None:
    engine: Any = Postgres(backend_pid)
    server = await find_server(engine)
    assert server[:3] == ("PostgreSQL 14.20 (Debian)", 97, has_pooler)
    assert round(server.clock_ahead) == 60
