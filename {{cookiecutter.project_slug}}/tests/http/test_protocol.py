"""Limits of a connection, over real sockets: heads that are too slow, too long or not HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.core.limits import MAX_RAW_HEAD_BYTES, MAX_RAW_URL_BYTES
from app.http.protocol import LimitedProtocol

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
CLOSING = GET[:-2] + b"Connection: close\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = b"POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
LARGE = 20 * 2**20


@pytest.fixture
def seen() -> list[Scope]:
    """The requests as the application gets them."""
    return []


@pytest.fixture
def protocol() -> type[LimitedProtocol]:
    """A protocol that is less patient."""

    class Protocol(LimitedProtocol):
        head_timeout = 0.3

    return Protocol


@pytest.fixture
async def port(seen: list[Scope], protocol: type[LimitedProtocol]) -> AsyncIterator[int]:
    async def answer_ok(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        start = {"type": "http.response.start", "status": 200}
        if scope["path"] == "/half":
            await send({**start, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive()).get("more_body"):
            pass  # wait for the end of the body
        if scope["path"] == "/slow":
            await asyncio.sleep(0.5)
        body = bytes(LARGE if scope["path"] == "/large" else 0)
        await send({**start, "headers": [(b"content-length", b"%d" % len(body))]})
        for begin in range(0, len(body), 2**16):
            await send(
                {
                    "type": "http.response.body",
                    "body": body[begin : begin + 2**16],
                    "more_body": True,
                }
            )
        await send({"type": "http.response.body"})

    config = Config(answer_ok, log_config=None, http=protocol, proxy_headers=False)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def send(port: int, *pieces: bytes, pause: float = 0.01) -> bytes:
    """Send these pieces, and return all that comes back until the server disconnects."""
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
    for header in (
        b"content-type: application/problem+json",
        b"connection: close",
        b"x-content-type-options: nosniff",
    ):
        assert header in head
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{slug}"
    assert problem["request_id"].encode() in head


async def test_slow_head_is_408(port: int) -> None:
    assert_problem(await send(port, GET[:10], GET[10:20]), 408, "request-timeout")


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"nonsense\r\n\r\n"], 400),
        ([GET[:10]], 408),
        ([b"GET /" + b"a" * (MAX_RAW_URL_BYTES + 1) + b" HTTP/1.1\r\nHost: test\r\n\r\n"], 414),
        ([GET[:-2] + b"X: " + b"a" * 2 * MAX_RAW_HEAD_BYTES], 431),
    ],
)
async def test_rejection_is_logged_like_a_request(
    port: int, caplog: pytest.LogCaptureFixture, pieces: list[bytes], status: int
) -> None:
    caplog.set_level("INFO", "app.access")
    answer = await send(port, *pieces)
    (line,) = [vars(line) for line in caplog.records if line.name == "app.access"]
    assert (line["msg"], line["status"]) == ("request", status)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert 0 <= line["duration_ms"] < 5000


async def test_slow_second_head_is_408(port: int) -> None:
    answer = await send(port, GET, GET[:20])
    first, _, second = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert_problem(second, 408, "request-timeout")


async def test_idle_connection_is_closed(port: int) -> None:
    assert await send(port) == b""


async def test_endless_head_is_431(port: int) -> None:
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    # The last piece exceeds the limit. Anything after it would be answered with a reset.
    pieces = MAX_RAW_HEAD_BYTES // len(line * 20) + 1
    answer = await send(port, GET[:-2], *[line * 20] * pieces)
    assert_problem(answer, 431, "headers-too-large")


async def test_other_protocol_is_400(port: int) -> None:
    assert_problem(await send(port, b"\x16\x03\x01 hello\r\n\r\n"), 400, "bad-request")


async def test_each_head_may_have_the_full_size(port: int) -> None:
    long = GET[:-2] + b"X-Filler: " + b"x" * (MAX_RAW_HEAD_BYTES * 2 // 3) + b"\r\n\r\n"
    answer = await send(port, long[:1000], long[1000:], long[:1000], long[1000:], CLOSING)
    assert answer.count(b"HTTP/1.1 200 ") == 3


async def test_long_url_is_414(port: int) -> None:
    url = b"/" + b"x" * MAX_RAW_URL_BYTES
    assert_problem(await send(port, GET.replace(b"/ ", url + b" ", 1)), 414, "uri-too-long")


@pytest.mark.parametrize(
    "frame", [b"0\r\n" + b"X-A: b\r\n" * 100, b"1;" + b"x" * 1000 + b"\r\nx\r\n"]
)
async def test_endless_chunk_framing_is_431(port: int, frame: bytes) -> None:
    """Trailers, and extensions of chunks."""
    first, rest = (frame[:3], frame[3:]) if frame.startswith(b"0") else (b"", frame)
    pieces = [rest * 20] * (MAX_RAW_HEAD_BYTES // len(rest * 20) + 1)
    assert_problem(await send(port, CHUNKED + first, *pieces), 431, "headers-too-large")


async def test_body_does_not_count_as_framing(port: int) -> None:
    chunk = b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000)
    ending = b"0\r\nX-Trailer: 1\r\n\r\n"
    answer = await send(port, CHUNKED, *[chunk] * 6, ending, CLOSING)
    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_trailers_are_ignored(port: int, seen: list[Scope]) -> None:
    """A proxy that removes a header from requests doesn't look for it after the body."""
    await send(port, CHUNKED, b"0\r\nX-User: root\r\n\r\n", b"\x16")
    assert b"x-user" not in dict(seen[0]["headers"])


async def test_stray_bytes_do_not_keep_a_connection_open(port: int) -> None:
    answer = await send(port, GET, b"\r\n")
    first, _, second = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert_problem(second, 408, "request-timeout")


@pytest.mark.parametrize(
    ("pieces", "status"), [([GET[:10]], 408), ([b"garbage\r\n\r\n", b"more"], 400)]
)
async def test_bad_next_request_is_answered_after_the_current_one(
    port: int, pieces: list[bytes], status: int
) -> None:
    first, _, second = (await send(port, SLOW, *pieces)).partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("path", [b"/half", b"/slow"])
async def test_bad_chunk_is_400_or_breaks_off_the_response(port: int, path: bytes) -> None:
    """400 if the response has not started."""
    head = CHUNKED.replace(b"/", path, 1)
    answer = await send(port, head, b"no size\r\n")
    if path == b"/slow":
        assert_problem(answer, 400, "bad-request")
    else:
        assert answer.endswith(b"half\r\n")


async def test_bad_chunk_of_a_pipelined_request_closes_the_connection(port: int) -> None:
    assert await send(port, SLOW + CHUNKED + b"no size\r\n") == b""


async def test_client_that_reads_nothing_is_disconnected(
    protocol: type[LimitedProtocol], port: int
) -> None:
    protocol.write_timeout = 0.1
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(GET.replace(b"/", b"/large", 1))
        await asyncio.sleep(1)
        received = 0
        while chunk := await reader.read(2**20):  # what was already on its way
            received += len(chunk)
        assert received < LARGE
        writer.close()


async def test_client_may_read_slowly(port: int) -> None:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(GET.replace(b"/", b"/large", 1))
        await asyncio.sleep(0.2)
        received = 0
        while received < LARGE:
            received += len(await reader.read(2**20))
        writer.close()


async def test_slow_body_is_not_limited_here(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    answer = await send(port, head[:30], head[30:], b"{", b"}", pause=0.25)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_websocket_is_upgraded(port: int, seen: list[Scope]) -> None:
    """The protocol gives the connection away, and its timers with it."""
    handshake = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = await send(port, GET[:-2] + handshake)
    # The application of this test sends the messages of HTTP, which is a bug in a WebSocket.
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert [scope["type"] for scope in seen] == ["websocket"]
