"""Shutdown: the service becomes unready first, finishes the requests in flight, and ends in time."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL

from tests.service import Service, running_service
from tests.support import (
    sign_up_body,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("database"),  # empty when a test begins
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM"),
]


def answer(service: Service, path: str) -> int:
    return httpx2.get(f"{service.address}{path}").status_code


def test_becomes_unready_before_it_stops(migrated_database_url: URL, tmp_path: Path) -> None:
    with running_service(migrated_database_url, tmp_path, SHUTDOWN_DELAY="3") as service:
        assert answer(service, "/readyz") == 200
        service.process.send_signal(signal.SIGTERM)
        with httpx2.Client(base_url=service.address) as client:
            response = client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["Connection"] == "close"
        assert answer(service, "/livez") == 200
        service.process.wait(timeout=10)


def begin_sign_up() -> tuple[bytes, bytes]:
    """Return a sign-up in two parts."""
    body = json.dumps(sign_up_body("ada@example.com")).encode()
    head = (
        "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return head + body[:10], body[10:]


@pytest.mark.parametrize(
    ("signals", "delay"),
    [
        ([signal.SIGTERM], "0.2"),
        ([signal.SIGINT], "0.2"),  # as Ctrl+C sends it; there is no delay
        ([signal.SIGTERM, signal.SIGTERM], "60"),  # the second one ends the delay
    ],
    ids=["SIGTERM", "SIGINT", "twice"],
)
def test_finishes_requests_in_flight(
    migrated_database_url: URL, tmp_path: Path, signals: list[signal.Signals], delay: str
) -> None:
    first, second = begin_sign_up()

    async def run(service: Service) -> bytes:
        reader, writer = await connect(service)
        writer.write(first)
        await asyncio.sleep(0.5)
        for number in signals:
            service.process.send_signal(number)
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
        with pytest.raises(ConnectionRefusedError):
            await connect(service)
        writer.write(second)
        answer = await reader.read()
        await close(writer)
        return answer

    with running_service(migrated_database_url, tmp_path, SHUTDOWN_DELAY=delay) as service:
        assert asyncio.run(run(service)).startswith(b"HTTP/1.1 201 ")
        service.process.wait(timeout=10)


def test_workers_finish_requests_in_flight(migrated_database_url: URL, tmp_path: Path) -> None:
    first, second = begin_sign_up()

    async def run(service: Service) -> bytes:
        reader, writer = await connect(service)
        writer.write(first)
        await asyncio.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1)
        writer.write(second)
        answer = await reader.read()
        await close(writer)
        return answer

    with running_service(
        migrated_database_url, tmp_path, WEB_CONCURRENCY="2", SHUTDOWN_DELAY="0.2"
    ) as service:
        assert asyncio.run(run(service)).startswith(b"HTTP/1.1 201 ")
        service.process.wait(timeout=10)


def test_hanging_request_is_cut_off_after_the_timeout(
    migrated_database_url: URL, tmp_path: Path
) -> None:
    async def run(service: Service) -> None:
        _, writer = await connect(service)
        writer.write(b"POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n")
        await asyncio.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(service.process.wait, 10)
        await close(writer)

    with running_service(
        migrated_database_url, tmp_path, SHUTDOWN_DELAY="0", SHUTDOWN_TIMEOUT="1"
    ) as service:
        asyncio.run(run(service))


async def connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(service.address.rpartition(":")[2]))


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
