import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from app.core.config import Settings
from app.core.limits import CONNECT_TIMEOUT_SECONDS, PING_TIMEOUT_SECONDS
from app.db import postgresql
from app.db.local_postgres import local_postgres
from app.db.session import Database
from app.dependencies.resources import Resources, open_resources
from tests.faults.postgres.server import POOL_SIZE, Server
from tests.support import alembic, cheap_password_hasher


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    # As root, PostgreSQL runs under another account, which can't reach pytest's own folders.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        directory = Path(name).resolve() / "postgres"
        with local_postgres(directory, durable=False) as url:
            yield Server(directory, url)


@pytest.fixture(scope="session")
def migrated_database_url(server: Server) -> URL:
    alembic(server.url, "upgrade", "head")
    return server.url


@pytest.fixture(autouse=True)
def production_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the longer time-outs of other tests: here, they are what is tested."""
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT_SECONDS", CONNECT_TIMEOUT_SECONDS)
    monkeypatch.setattr(postgresql, "PING_TIMEOUT_SECONDS", PING_TIMEOUT_SECONDS)


@pytest.fixture
def settings_values() -> dict[str, Any]:
    return {
        "database_pool_size": POOL_SIZE,
        "database_pool_timeout": 0.5,
        "database_statement_timeout": 1,
    }


@pytest.fixture
async def resources(settings: Settings, database: Database) -> AsyncIterator[Resources]:
    hasher = cheap_password_hasher(settings, max_wait=3)
    async with open_resources(settings, hasher) as resources:
        yield resources
