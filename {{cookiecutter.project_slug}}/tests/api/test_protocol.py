"""Heads of requests, over real sockets: too slow, too long, or no HTTP at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from app.api import protocol as module
from app.api.protocol import LimitedProtocol, limit_connections

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


async def answer_ok(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        """Wait for the end of the body."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.3)
    config = Config(answer_ok, log_config=None, http="httptools")
    config.load()
    limit_connections(Server(config))
    assert config.http_protocol_class is LimitedProtocol
    server = await asyncio.get_running_loop().create_server(
        lambda: LimitedProtocol(config=config, server_state=ServerState(), app_state={}),
        "127.0.0.1",
        0,
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def send(port: int, *pieces: bytes, pause: float = 0.01) -> bytes:
    """All that comes back for these pieces, until the server hangs up."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        answer = await reader.read()
        writer.close()
    return answer


def assert_problem(answer: bytes, status: int, slug: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{slug}"
    assert problem["request_id"].encode() in head


async def test_head_that_does_not_end_in_time(port: int) -> None:
    assert_problem(await send(port, GET[:10], GET[10:20]), 408, "request-timeout")


async def test_second_head_that_does_not_end_in_time(port: int) -> None:
    answer = await send(port, GET, GET[:20])
    first, _, second = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert_problem(second, 408, "request-timeout")


async def test_silence(port: int) -> None:
    assert await send(port) == b""


async def test_head_without_end(port: int) -> None:
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    # The last piece is one too many. What came after it would be answered by a reset.
    pieces = module.MAX_HEAD_BYTES // len(line * 20) + 1
    answer = await send(port, GET[:-2], *[line * 20] * pieces)
    assert_problem(answer, 431, "headers-too-large")


async def test_no_http(port: int) -> None:
    assert_problem(await send(port, b"\x16\x03\x01 hello\r\n\r\n"), 400, "bad-request")


async def test_body_may_take_its_time(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    answer = await send(port, head[:30], head[30:], b"{", b"}", pause=0.25)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_another_implementation_is_left_alone() -> None:
    config = Config(answer_ok, log_config=None, http="h11")
    config.load()
    limit_connections(Server(config))
    assert config.http_protocol_class is H11Protocol
