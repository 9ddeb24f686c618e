"""Heads of requests, over real sockets: too slow, too long, or no HTTP at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.http import protocol as module
from app.http.protocol import LimitedProtocol

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


MUCH = 20 * 2**20


@pytest.fixture
def seen() -> list[Scope]:
    """What the server has made of the requests."""
    return []


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch, seen: list[Scope]) -> AsyncIterator[int]:
    async def answer_ok(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        start = {"type": "http.response.start", "status": 200}
        if scope["path"] == "/half":
            await send({**start, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive()).get("more_body"):
            """Wait for the end of the body."""
        if scope["path"] == "/slow":
            await asyncio.sleep(0.5)
        body = bytes(MUCH if scope["path"] == "/much" else 0)
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

    monkeypatch.setattr(module, "HEAD_SECONDS", 0.3)
    config = Config(answer_ok, log_config=None, http="httptools")
    config.load()
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
    for header in (
        b"content-type: application/problem+json",
        b"connection: close",
        b"x-content-type-options: nosniff",
        b"cache-control: no-store",
    ):
        assert header in head
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


async def test_heads_are_counted_one_by_one(port: int) -> None:
    long = GET[:-2] + b"X-Filler: " + b"x" * (module.MAX_HEAD_BYTES * 2 // 3) + b"\r\n\r\n"
    last = GET[:-2] + b"Connection: close\r\n\r\n"
    answer = await send(port, long[:1000], long[1000:], long[:1000], long[1000:], last)
    assert answer.count(b"HTTP/1.1 200 ") == 3


async def test_long_url(port: int) -> None:
    url = b"/" + b"x" * module.MAX_URL_BYTES
    assert_problem(await send(port, GET.replace(b"/ ", url + b" ", 1)), 414, "uri-too-long")


CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "frame", [b"0\r\n" + b"X-A: b\r\n" * 100, b"1;" + b"x" * 1000 + b"\r\nx\r\n"]
)
async def test_what_frames_chunks_has_an_end(port: int, frame: bytes) -> None:
    """Trailers, and extensions of chunks."""
    first, rest = (frame[:3], frame[3:]) if frame.startswith(b"0") else (b"", frame)
    pieces = [rest * 20] * (module.MAX_HEAD_BYTES // len(rest * 20) + 1)
    assert_problem(await send(port, CHUNKED + first, *pieces), 431, "headers-too-large")


async def test_body_is_not_counted(port: int) -> None:
    chunk = b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000)
    ending = b"0\r\nX-Trailer: 1\r\n\r\n"
    answer = await send(
        port, CHUNKED, *[chunk] * 6, ending, GET[:-2] + b"Connection: close\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_trailers_are_no_headers(port: int, seen: list[Scope]) -> None:
    """A proxy that takes a header away does not look for it behind the body."""
    await send(port, CHUNKED, b"0\r\nX-User: root\r\n\r\n", b"\x16")
    assert b"x-user" not in dict(seen[0]["headers"])


async def test_stray_bytes_keep_no_connection_open(port: int) -> None:
    answer = await send(port, GET, b"\r\n")
    first, _, second = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert_problem(second, 408, "request-timeout")


SLOW = b"POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"), [([GET[:10]], 408), ([b"garbage\r\n\r\n", b"more"], 400)]
)
async def test_bad_next_request_waits_for_the_answer(
    port: int, pieces: list[bytes], status: int
) -> None:
    first, _, second = (await send(port, SLOW, *pieces)).partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("path", [b"/half", b"/slow"])
async def test_bad_chunk(port: int, path: bytes) -> None:
    """400 for a request whose answer has not begun; half an answer is broken off."""
    head = CHUNKED.replace(b"/", path, 1)
    answer = await send(port, head, b"no size\r\n")
    if path == b"/slow":
        assert_problem(answer, 400, "bad-request")
    else:
        assert answer.endswith(b"half\r\n")


async def test_bad_chunk_of_a_pipelined_request(port: int) -> None:
    assert await send(port, SLOW + CHUNKED + b"no size\r\n") == b""


async def test_who_reads_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.1)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(GET.replace(b"/", b"/much", 1))
        await asyncio.sleep(1)
        received = 0
        while chunk := await reader.read(2**20):  # what has been on its way already
            received += len(chunk)
        assert received < MUCH
        writer.close()


async def test_who_reads_slowly(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(GET.replace(b"/", b"/much", 1))
        await asyncio.sleep(0.2)
        received = 0
        while received < MUCH:
            received += len(await reader.read(2**20))
        writer.close()


async def test_body_may_take_its_time(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    answer = await send(port, head[:30], head[30:], b"{", b"}", pause=0.25)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_loopback_is_not_believed(port: int, seen: list[Scope]) -> None:
    """As uvicorn would, by itself."""
    headers = b"Connection: close\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    await send(port, GET[:-2] + headers)
    (scope,) = seen
    assert scope["client"][0] == "127.0.0.1"
    assert scope["scheme"] == "http"
