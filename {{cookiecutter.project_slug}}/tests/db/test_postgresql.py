"""psycopg's connection with time limits, on a server that answers, hangs or ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import errors
from psycopg.pq import TransactionStatus

from app.db import postgresql as module
from app.db.postgresql import PostgresConnection

_CANCEL_REQUEST = 80877102


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def error(sqlstate: bytes) -> bytes:
    return message(b"E", b"SERROR\0VERROR\0C" + sqlstate + b"\0Mthe server's words\0\0")


READY = message(b"Z", b"I")
GREETING = message(b"R", bytes(4)) + message(b"K", bytes(8)) + READY
DONE = message(b"C", b"SELECT 1\0") + READY


class Server:
    """Speaks as much of PostgreSQL's protocol as these tests need."""

    def __init__(self) -> None:
        self.answer: bytes | None = DONE
        self.answer_to_cancellation: bytes | None = error(b"57014") + READY
        self.cancelled = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        size = int.from_bytes(await reader.readexactly(4))
        start = await reader.readexactly(size - 4)
        if int.from_bytes(start[:4]) == _CANCEL_REQUEST:
            self.cancelled.set()
            if self.answer_to_cancellation:
                self.writers[0].write(self.answer_to_cancellation)
                writer.close()
            return
        writer.write(GREETING)
        while kind := await reader.read(1):
            await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
            if kind == b"Q" and self.answer:
                writer.write(self.answer)


@pytest.fixture
async def server() -> Server:
    return Server()


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[PostgresConnection]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        connection = await PostgresConnection.open(
            host="127.0.0.1", port=port, sslmode="disable", autocommit=True, **options
        )
        try:
            yield connection
        finally:
            await connection.close()
            for writer in server.writers:
                writer.close()
                await writer.wait_closed()


async def test_statement_within_the_time_limit_is_left_alone(server: Server) -> None:
    async with connected(server, time_limit=10) as connection:
        await connection.execute("SELECT 1")
        server.answer = error(b"53200") + READY
        with pytest.raises(errors.OutOfMemory):
            await connection.execute("SELECT 1")
    assert not server.cancelled.is_set()


async def test_statement_that_takes_too_long_is_cancelled(server: Server) -> None:
    async with connected(server, time_limit=0.05) as connection:
        server.answer = None
        with pytest.raises(errors.QueryCanceled, match="exceeded the time limit"):
            await connection.execute("SELECT 1")
        assert server.cancelled.is_set()
        server.answer = DONE
        await connection.execute("SELECT 1")  # the connection can still be used


async def test_connection_to_a_server_that_hangs_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCEL_TIMEOUT_SECONDS", 0.05)
    async with connected(server, time_limit=0.05) as connection:
        server.answer = server.answer_to_cancellation = None
        with pytest.raises(errors.QueryCanceled):
            await connection.execute("SELECT 1")
        assert connection.closed


async def test_statement_of_a_cancelled_task_is_cancelled(server: Server) -> None:
    async with connected(server, time_limit=None) as connection:
        server.answer = None
        task = asyncio.create_task(connection.execute("SELECT 1"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.cancelled.is_set()
        assert not connection.closed


async def test_second_cancellation_closes_the_connection(server: Server) -> None:
    async with connected(server, time_limit=None) as connection:
        server.answer = server.answer_to_cancellation = None
        task = asyncio.create_task(connection.execute("SELECT 1"))
        await asyncio.sleep(0.01)
        task.cancel()
        await server.cancelled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connection.closed


async def test_end_of_an_idle_connection_is_noticed_without_asking(server: Server) -> None:
    async with connected(server, time_limit=None) as connection:
        assert not connection.has_ended()
        server.writers[0].write(error(b"57P01"))
        server.writers[0].close()
        await server.writers[0].wait_closed()
        assert connection.has_ended()


async def test_ping_waits_for_any_answer(server: Server) -> None:
    async with connected(server, time_limit=None) as connection:
        await connection.ping()
        assert not connection.closed


async def test_ping_without_an_answer_closes_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PING_TIMEOUT_SECONDS", 0.05)
    async with connected(server, time_limit=None) as connection:
        server.answer = None
        with pytest.raises(errors.OperationalError):
            await connection.ping()
        assert connection.closed
    assert not server.cancelled.is_set()


@pytest.mark.parametrize(
    ("hosts", "options", "limit"),
    [
        ("127.0.0.1", {}, 0.75),
        ("127.0.0.1", {"connect_timeout": "10"}, 10),
        ("127.0.0.1,127.0.0.2", {}, 4),
        ("127.0.0.1,127.0.0.2", {"connect_timeout": "10"}, 20),
    ],
)
async def test_time_to_connect_depends_on_hosts_and_connect_timeout(
    monkeypatch: pytest.MonkeyPatch, hosts: str, options: dict[str, str], limit: float
) -> None:
    async def expire(**_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECONDS", 0.75)
    monkeypatch.setattr(PostgresConnection, "connect", expire)
    with pytest.raises(errors.ConnectionTimeout, match=f"no connection within {limit:g} s"):
        await PostgresConnection.open(host=hosts, time_limit=None, **options)


async def test_server_that_does_not_greet_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(errors.ConnectionTimeout):
        await asyncio.create_task(
            PostgresConnection.open(host="127.0.0.1", port=silent.getsockname()[1], time_limit=None)
        )


async def test_only_a_transaction_is_rolled_back(server: Server) -> None:
    begun = message(b"C", b"BEGIN\0") + message(b"Z", b"T")
    rolled_back = message(b"C", b"ROLLBACK\0") + READY
    async with connected(server, time_limit=10) as connection:
        server.answer = None
        await connection.rollback()  # would wait for an answer
        server.answer = begun
        await connection.execute("BEGIN")
        server.answer = rolled_back
        await connection.rollback()
        assert connection.info.transaction_status == TransactionStatus.IDLE
