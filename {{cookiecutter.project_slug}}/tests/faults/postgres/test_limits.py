"""Limits of connections, statements and locks: what exceeds one gets 503, the others go on."""

from contextlib import AsyncExitStack

import asyncpg  # type: ignore[import-untyped]  # has no types
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.dependencies.get_db import SessionDep
from app.dependencies.resources import Resources
from tests.faults.postgres.server import (
    PRODUCTION_POOL,
    Server,
    assert_everything_unavailable,
    assert_unavailable,
    assert_works,
)
from tests.support import (
    ME,
    USERS,
    UserClient,
    assert_problem,
    sign_up_body,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("settings_values", [PRODUCTION_POOL])
async def test_exhausted_pool_gives_503(resources: Resources, ada: UserClient) -> None:
    async with AsyncExitStack() as sessions:
        for _ in range(resources.settings.database_pool_size):
            session = await sessions.enter_async_context(resources.database.session())
            await session.execute(text("SELECT 1"))
        await assert_everything_unavailable(ada)
    await assert_works(ada)


async def test_statement_that_takes_too_long_gives_503(app: FastAPI, ada: UserClient) -> None:
    @app.post("/hang", include_in_schema=False)
    async def hang(session: SessionDep) -> None:
        await session.execute(text("SELECT pg_sleep(60)"))

    await assert_unavailable(ada.post("/hang"))
    await assert_works(ada)


async def test_server_without_free_connections_gives_503(
    resources: Resources, ada: UserClient, server: Server
) -> None:
    await resources.database.engine.dispose()
    others = []
    try:
        while True:
            others.append(await server.connect())
    except asyncpg.TooManyConnectionsError:
        await assert_unavailable(ada.get(ME))
        await assert_unavailable(ada.get("/readyz"))
    for connection in others:
        await connection.close()
    await assert_works(ada)


async def test_failed_commit_gives_500_and_stores_nothing(ada: UserClient, server: Server) -> None:
    account = sign_up_body("bob@example.com")
    async with server.administrator() as administrator:
        # Accepts the row, and rejects the commit.
        await administrator.execute(
            "CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''rejected''; END';"
            "CREATE CONSTRAINT TRIGGER reject AFTER INSERT ON users "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reject()"
        )
        response = await ada.post(USERS, json=account)
        await administrator.execute("DROP TRIGGER reject ON users; DROP FUNCTION reject()")
        assert_problem(response, 500, "internal-error")
        assert await administrator.fetchval("SELECT count(*) FROM users") == 1  # Ada
    assert (await ada.post(USERS, json=account)).status_code == 201


async def test_server_ends_what_a_killed_service_has_left(resources: Resources) -> None:
    async with resources.database.session() as session:
        for name, expected in {
            "statement_timeout": "1s",
            "idle_in_transaction_session_timeout": "2s",
        }.items():
            assert await session.scalar(text(f"SHOW {name}")) == expected


@pytest.mark.parametrize("settings_values", [PRODUCTION_POOL])
async def test_locked_database_is_not_ready_in_time(ada: UserClient, server: Server) -> None:
    async with server.administrator() as administrator, administrator.transaction():
        await administrator.execute("LOCK TABLE alembic_version")
        await assert_unavailable(ada.get("/readyz"))
    assert (await ada.get("/readyz")).status_code == 200
