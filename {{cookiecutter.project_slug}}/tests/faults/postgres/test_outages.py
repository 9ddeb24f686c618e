"""PostgreSQL stops, dies or freezes: clients get 503 in time, and the service recovers by itself."""

import asyncio

import pytest
from fastapi import FastAPI
from sqlalchemy import select, text

from app.db.engine import PING_AFTER_SECONDS
from app.db.session import Database
from app.dependencies.get_db import SessionDep
from app.models.user import User
from tests.faults.postgres.server import (
    POOL_SIZE,
    PRODUCTION_POOL,
    Server,
    assert_everything_unavailable,
    assert_unavailable,
    assert_works,
)
from tests.support import (
    AUTH,
    ME,
    PASSWORD,
    USERS,
    UserClient,
    assert_problem,
    client_of,
    sign_up_body,
)

pytestmark = pytest.mark.slow


async def idle() -> None:
    """Wait until every connection is pinged before its next use."""
    await asyncio.sleep(PING_AFTER_SECONDS)


async def test_stopped_server_gives_503_until_it_is_back(ada: UserClient, server: Server) -> None:
    await assert_works(ada)
    server.stop()
    try:
        assert (await ada.get("/livez")).status_code == 200
        await assert_unavailable(ada.get("/readyz"))
        form = {"username": ada.email, "password": PASSWORD}
        account = sign_up_body("bob@example.com")
        await assert_unavailable(ada.post(f"{AUTH}/token", data=form))
        await assert_unavailable(ada.post(USERS, json=account))
        await asyncio.gather(*(assert_unavailable(ada.get(ME)) for _ in range(8)))
    finally:
        server.start()
    await assert_works(ada)


async def test_restart_between_requests_goes_unnoticed(ada: UserClient, server: Server) -> None:
    await assert_works(ada)
    # In a thread: the event loop sees the connections end, as that of a running service does.
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await assert_works(ada)


async def test_connection_lost_unnoticed_costs_one_503_and_repeats_no_write(
    ada: UserClient, server: Server, database: Database
) -> None:
    await assert_works(ada)
    # On the event loop, which therefore doesn't see the connections end.
    server.stop()
    server.start()
    outcomes = {}
    for number in range(5):
        email = f"user{number}@example.com"
        response = await ada.post(USERS, json=sign_up_body(email))
        outcomes[email] = response.status_code
    assert list(outcomes.values()).count(503) <= 1
    assert set(outcomes.values()) <= {201, 503}
    async with database.session() as session:
        stored = set(await session.scalars(select(User.email)))
    assert stored - {ada.email} == {email for email, status in outcomes.items() if status == 201}


async def test_closed_connections_are_replaced_unnoticed(ada: UserClient, server: Server) -> None:
    await assert_works(ada)
    await server.terminate_connections()
    await assert_works(ada)


async def test_connection_closed_in_a_request_gives_503(
    app: FastAPI, ada: UserClient, server: Server
) -> None:
    @app.post("/terminate", include_in_schema=False)
    async def terminate(session: SessionDep) -> None:
        await session.execute(text("SELECT 1"))
        await server.terminate_connections()

    await assert_works(ada)
    await assert_unavailable(ada.post("/terminate"))
    await assert_works(ada)


async def test_server_killed_in_a_transaction_stores_nothing(
    app: FastAPI, ada: UserClient, server: Server
) -> None:
    @app.post("/kill", include_in_schema=False)
    async def kill(session: SessionDep) -> None:
        session.add(User(email="lost@example.com", hashed_password="x"))
        await session.flush()
        server.kill()

    response = await ada.post("/kill")
    server.start()
    assert_problem(response, 503, "unavailable")
    await assert_works(ada)
    async with client_of(app) as client:
        await client.sign_up("lost@example.com")


@pytest.mark.parametrize("settings_values", [PRODUCTION_POOL])
async def test_frozen_server_gives_503_in_time(ada: UserClient, server: Server) -> None:
    await assert_works(ada)
    await idle()
    with server.frozen():
        assert (await ada.get("/livez")).status_code == 200
        for _ in range(2):
            await assert_unavailable(ada.get("/readyz"))
            await assert_everything_unavailable(ada)
    await assert_works(ada)


async def test_server_that_freezes_under_load_holds_one_request_for_each_connection(
    ada: UserClient, server: Server
) -> None:
    """A connection that was just used isn't pinged: its request waits for the statement to time out."""
    await assert_works(ada)
    with server.frozen():
        async with asyncio.timeout(10):
            responses = await asyncio.gather(*(ada.get(ME) for _ in range(POOL_SIZE)))
        for response in responses:
            assert_problem(response, 503, "unavailable")
        await assert_unavailable(ada.get(ME))
        await asyncio.gather(*(assert_unavailable(ada.get(ME)) for _ in range(POOL_SIZE)))
    await assert_works(ada)


async def test_server_that_freezes_in_a_statement_gives_503(
    app: FastAPI, ada: UserClient, server: Server
) -> None:
    """It can't enforce its own statement time-out; the client's takes its place."""

    @app.post("/hang", include_in_schema=False)
    async def hang(session: SessionDep) -> None:
        await session.execute(text("SELECT pg_sleep(60)"))

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        request = tasks.create_task(ada.post("/hang"))
        await asyncio.sleep(0.3)
        with server.frozen():
            response = await request
    assert_problem(response, 503, "unavailable")
    await assert_works(ada)
