"""Limits of a request: size and arrival of its body, size of its head."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from tests.support import USERS, assert_problem, set_limits

JSON = {"Content-Type": "application/json"}
ORIGIN = "https://app.example.com"
AT_MOST_100_BYTES = pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100}])


async def endless(chunk: bytes) -> AsyncIterator[bytes]:
    """A body that goes on after the service has rejected it."""
    while True:
        yield chunk


async def post(
    client: httpx2.AsyncClient, body: AsyncIterator[bytes], **headers: str
) -> httpx2.Response:
    # In a task: coverage of Python 3.11 loses a coroutine through which a cancellation has gone.
    request = asyncio.create_task(client.post(USERS, content=body, headers=JSON | headers))
    async with asyncio.timeout(10):
        return await request


@AT_MOST_100_BYTES
@pytest.mark.parametrize("length", ["101", "9" * 30, "9" * 5000, None])
async def test_large_body_is_rejected_while_it_is_sent(
    app: FastAPI, client: httpx2.AsyncClient, length: str | None
) -> None:
    set_limits(app, linger=0.05)
    headers = {"Content-Length": length} if length else {}
    response = await post(client, endless(b"x" * 60), **headers)
    assert_problem(response, 413, "content-too-large")
    assert response.headers["Connection"] == "close"


@AT_MOST_100_BYTES
@pytest.mark.parametrize(("size", "status"), [(100, 422), (101, 413)])
async def test_body_may_have_the_largest_size(
    client: httpx2.AsyncClient, size: int, status: int
) -> None:
    headers = JSON | {"Content-Encoding": "identity"}
    response = await client.post(USERS, content=b" " * size, headers=headers)
    assert response.status_code == status


@AT_MOST_100_BYTES
async def test_bodies_share_a_memory_budget(app: FastAPI, client: httpx2.AsyncClient) -> None:
    set_limits(app, max_arriving_bodies=1)
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" " * 60
        waits.set()
        await goes_on.wait()
        yield b" "

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.post(USERS, content=slow(), headers=JSON))
        await waits.wait()
        response = await client.post(USERS, content=b" " * 60, headers=JSON)
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"
        goes_on.set()
    assert first.result().status_code == 422
    # A body counts until it has arrived.
    assert (await client.post(USERS, content=b" " * 60, headers=JSON)).status_code == 422


async def test_client_that_leaves_while_sending_gets_no_response(app: FastAPI) -> None:
    received = asyncio.Queue[Message]()
    received.put_nowait({"type": "http.request", "body": b"{", "more_body": True})
    received.put_nowait({"type": "http.disconnect"})
    sent = asyncio.Queue[Message]()
    headers = [(b"host", b"test"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "path": USERS, "method": "POST", "query_string": b""}
    await app({**scope, "headers": headers}, received.get, sent.put)
    assert sent.empty()


@pytest.mark.parametrize("settings_values", [{"body_timeout": 0.1}])
async def test_slow_body_is_408(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    set_limits(app, linger=0.05)
    response = await post(client, slow())
    assert_problem(response, 408, "request-timeout")
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("settings_values", [{"body_timeout": 0.05}])
async def test_body_timeout_ends_with_the_body(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/poll", include_in_schema=False)
    async def poll(request: Request) -> bool:
        await request.body()
        await asyncio.sleep(0.1)
        return await request.is_disconnected()

    assert (await client.post("/poll", content=b"x")).json() is False


async def test_long_url_is_414_and_long_headers_are_431(client: httpx2.AsyncClient) -> None:
    response = await client.get("/livez", params={"x": "x" * 40_000})
    assert_problem(response, 414, "uri-too-long")
    response = await client.get("/livez", headers={"X-Long": "x" * 70_000})
    assert_problem(response, 431, "headers-too-large")


@pytest.mark.parametrize(
    ("headers", "status", "problem"),
    [
        ([(b"host", b"a"), (b"host", b"b")], 400, "bad-request"),
        ([], 400, "bad-request"),
        ([(b"host", b"a"), (b"content-length", b"-1")], 400, "bad-request"),
        ([(b"host", b"a"), (b"content-length", b"1e3")], 400, "bad-request"),
        ([(b"host", b"a"), (b"content-encoding", b"gzip")], 415, "unsupported-media-type"),
    ],
)
async def test_malformed_head_is_rejected_whatever_the_server(
    app: FastAPI, headers: list[tuple[bytes, bytes]], status: int, problem: str
) -> None:
    """Some servers reject some of these themselves."""
    sent = list[Message]()
    received = asyncio.Queue[Message]()
    received.put_nowait({"type": "http.request"})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "path": USERS, "method": "POST"}
    await app({**scope, "query_string": b"", "headers": headers}, received.get, send)
    assert sent[0]["status"] == status
    assert f"/problems/{problem}".encode() in sent[1]["body"]


async def test_http_1_0_needs_no_host(app: FastAPI) -> None:
    sent = asyncio.Queue[Message]()
    scope = {"type": "http", "http_version": "1.0", "path": "/livez", "method": "GET"}
    await app({**scope, "query_string": b"", "headers": []}, asyncio.Queue[Message]().get, sent.put)
    assert (await sent.get())["status"] == 200


@pytest.mark.parametrize("settings_values", [{"cors_origins": [ORIGIN]}])
async def test_rejection_has_all_headers(app: FastAPI, client: httpx2.AsyncClient) -> None:
    set_limits(app, linger=0.05)
    headers = {"Origin": ORIGIN, "Content-Length": "9" * 10}
    response = await post(client, endless(b" "), **headers)
    assert_problem(response, 413, "content-too-large")
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["X-Content-Type-Options"] == "nosniff"
