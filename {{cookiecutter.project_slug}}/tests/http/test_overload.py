"""Slots: how many requests run at a time, and who holds one for how long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import QueuePool, select
from starlette.types import Message

from app.dependencies.get_db import ReadSessionDep
from app.dependencies.resources import Resources
from tests.support import (
    ME,
    USERS,
    assert_problem,
    set_limits,
    sign_up_body,
)

ORIGIN = "https://app.example.com"
OpenStream = Callable[[], Awaitable[asyncio.Task[None]]]


@pytest.mark.parametrize(
    "settings_values", [{"max_concurrent_requests": 1, "cors_origins": [ORIGIN]}]
)
async def test_request_without_a_slot_is_503(app: FastAPI, client: httpx2.AsyncClient) -> None:
    set_limits(app, slot_wait=0.05)
    release = asyncio.Event()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        await release.wait()

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.get("/wait"))
        await asyncio.sleep(0.05)
        origin = {"Origin": ORIGIN}
        # In a task of its own: Python 3.11 no longer traces one whose wait has timed out.
        response = await tasks.create_task(client.get(USERS, headers=origin))
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"
        assert "Connection" not in response.headers
        # Without this header and the preflight, a page could not read the response.
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        preflight = origin | {"Access-Control-Request-Method": "POST"}
        assert (await client.options(USERS, headers=preflight)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        release.set()
    assert first.result().status_code == 200
    assert (await client.get(USERS)).status_code == 401


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1}])
async def test_waiting_request_gets_the_next_slot(app: FastAPI, client: httpx2.AsyncClient) -> None:
    set_limits(app, slot_wait=10)
    release = asyncio.Event()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        await release.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.get("/wait"))
        await asyncio.sleep(0.05)
        second = tasks.create_task(client.get(ME))
        await asyncio.sleep(0.05)
        assert not second.done()
        release.set()
    assert second.result().status_code == 401


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1}])
async def test_request_is_503_at_once_when_many_others_wait(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    set_limits(app, slot_wait=60, max_waiting=2)
    release = asyncio.Event()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        await release.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        requests = [tasks.create_task(client.get("/wait")) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert_problem(await client.get(ME), 503, "unavailable")
        release.set()
    assert [request.result().status_code for request in requests] == [200, 200, 200]


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1}])
async def test_probe_behind_a_path_prefix_needs_no_slot(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    set_limits(app, slot_wait=0.01)
    release, sent = asyncio.Event(), asyncio.Queue[Message]()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        await release.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.get("/wait"))
        await asyncio.sleep(0.05)
        scope = {"type": "http", "path": "/shop/livez", "root_path": "/shop", "method": "GET"}
        receive = asyncio.Queue[Message]().get
        await app({**scope, "query_string": b"", "headers": []}, receive, sent.put)
        assert (await sent.get())["status"] == 200
        release.set()


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1, "body_timeout": 0.1}])
async def test_slow_upload_holds_no_slot(app: FastAPI, client: httpx2.AsyncClient) -> None:
    set_limits(app, linger=0.05)
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await asyncio.sleep(60)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(client.post(USERS, content=slow()))
        await begun.wait()
        assert (await client.get(ME)).status_code == 401


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1}])
async def test_cancelled_request_frees_its_slot(app: FastAPI, client: httpx2.AsyncClient) -> None:
    begun = asyncio.Event()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    first = asyncio.create_task(client.get("/wait"))
    await begun.wait()
    first.cancel()
    await asyncio.wait([first])
    async with asyncio.timeout(10):
        assert (await client.get(ME)).status_code == 401


@pytest.fixture
async def open_stream(app: FastAPI) -> AsyncIterator[OpenStream]:
    """Start a response that goes on until the end of the test."""
    release = asyncio.Event()

    @app.get("/stream", include_in_schema=False)
    async def stream(session: ReadSessionDep) -> StreamingResponse:
        await session.scalar(select(1))

        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            await release.wait()

        return StreamingResponse(body())

    async with asyncio.TaskGroup() as tasks:

        async def start() -> asyncio.Task[None]:
            sent = asyncio.Queue[Message]()
            received = asyncio.Queue[Message]()
            received.put_nowait({"type": "http.request"})
            scope = {"type": "http", "path": "/stream", "method": "GET", "query_string": b""}
            stream = tasks.create_task(app({**scope, "headers": []}, received.get, sent.put))
            await sent.get()  # the status
            await sent.get()  # the first chunk
            return stream

        yield start
        release.set()


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 5}])
async def test_streams_hold_neither_slot_nor_connection(
    resources: Resources, client: httpx2.AsyncClient, open_stream: OpenStream
) -> None:
    streams = [await open_stream() for _ in range(10)]  # the pool has 5
    pool = resources.database.engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0
    response = await client.post(USERS, json=sign_up_body("ada@example.com"))
    assert response.status_code == 201
    assert not any(stream.done() for stream in streams)
