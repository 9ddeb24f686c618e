import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import make_url, text

from app.core.security import encode_access_token
from app.crud.revision import IsWritable
from app.db.revisions import head_revision
from app.db.session import Database, ReadSession
from app.dependencies.resources import Resources
from app.http.shutdown import shutdown
from app.services import health_service
from tests.support import assert_problem

# Nothing listens on this port.
NO_DATABASE = "postgresql://nobody:nothing@127.0.0.1:9/none"


async def test_probes_succeed(client: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.json() == {"status": "ok"}


@pytest.mark.parametrize("settings_values", [{"database_url": NO_DATABASE}])
async def test_service_is_unready_without_its_database(
    resources: Resources, app: FastAPI, client: httpx2.AsyncClient
) -> None:
    assert (await client.get("/livez")).status_code == 200
    token = encode_access_token(
        resources.settings.secret_key.get_secret_value(),
        user_id=uuid4(),
        user_session_id=uuid4(),
        lifetime=timedelta(minutes=1),
    )
    for path in ("/readyz", "/api/v1/users/me"):
        # In a task of its own: Python 3.11 stops tracing a task in which a wait has timed out.
        response = await asyncio.create_task(
            client.get(path, headers={"Authorization": f"Bearer {token}"})
        )
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"


async def test_service_is_unready_when_the_database_is_slow(
    resources: Resources, app: FastAPI, client: httpx2.AsyncClient
) -> None:
    """Here the pool has no connection left, and tests wait 30 s for one."""
    engine = resources.database.engine
    async with AsyncExitStack() as connections:
        for _ in range(resources.settings.database_pool_size):
            await connections.enter_async_context(engine.connect())
        started = time.monotonic()
        response = await asyncio.create_task(client.get("/readyz"))  # as above
        assert time.monotonic() - started < 4  # the probe gives up after one
    assert_problem(response, 503, "unavailable")
    assert (await client.get("/readyz")).status_code == 200


async def test_service_is_unready_while_it_shuts_down(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "begun", True)
    response = await client.get("/readyz")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Connection"] == "close"
    assert (await client.get("/livez")).status_code == 200


async def test_service_is_unready_until_the_database_is_migrated(
    client: httpx2.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.session.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    try:
        problem = assert_problem(await client.get("/readyz"), 503, "unavailable")
        assert problem["detail"] == "The database is not migrated."
        reason = f"the database is at revision older, but this code needs {head_revision()}"
        (record,) = caplog.records
        assert record.__dict__["reason"] == f"{reason}; run `alembic upgrade head`"
    finally:
        async with database.session.begin() as session:
            await session.execute(
                text("UPDATE alembic_version SET version_num = :head"), {"head": head_revision()}
            )


async def test_service_is_unready_while_the_database_is_read_only(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(_: ReadSession) -> tuple[str | None, bool]:
        return head_revision(), False

    monkeypatch.setattr(health_service, "find_revision", find)
    problem = assert_problem(await client.get("/readyz"), 503, "unavailable")
    assert problem["detail"] == "The database is read-only."


def test_each_database_says_whether_it_is_writable() -> None:
    for url, sql in {
        "sqlite://": "is_writable()",
        "postgresql+psycopg://": "current_setting('transaction_read_only') = 'off'",
    }.items():
        dialect = make_url(url).get_dialect()()
        assert str(IsWritable().compile(dialect=dialect)) == sql


async def test_log_of_a_database_that_was_never_migrated_names_the_command(
    client: httpx2.AsyncClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.session.begin() as session:
        await session.execute(text("ALTER TABLE alembic_version RENAME TO away"))
    try:
        assert_problem(await client.get("/readyz"), 503, "unavailable")
    finally:
        async with database.session.begin() as session:
            await session.execute(text("ALTER TABLE away RENAME TO alembic_version"))
    (line,) = [vars(line) for line in caplog.records if line.msg == "Unavailable"]
    assert "never migrated, run `alembic upgrade head`" in line["reason"]
