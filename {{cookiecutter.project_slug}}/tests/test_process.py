"""The service as a process: what only a real server shows."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL

from app.core.config import ROOT


def environment(url: URL, **values: str) -> dict[str, str]:
    return {
        **os.environ,
        "ENVIRONMENT": "test",
        "SECRET_KEY": "a key for tests that signs nothing else",
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "LOG_FORMAT": "json",
        **values,
    }


@pytest.fixture
def process(
    migrated_database_url: URL, tmp_path: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`uvicorn app.main:app` on a free port: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)],
            cwd=ROOT,
            env=environment(migrated_database_url),
            stderr=log,
        )
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def wait_until_ready(address: str) -> httpx2.Response:
    deadline = time.monotonic() + 30
    while True:
        try:
            response = httpx2.get(f"{address}/readyz")
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return response


def test_serves_and_stops(process: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, server = process
    assert wait_until_ready(address).json() == {"status": "ok"}
    assert httpx2.get(f"{address}/docs").status_code == 200
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=10)


def test_refuses_weak_settings(migrated_database_url: URL) -> None:
    secret = "short-and-hidden"
    result = subprocess.run(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"],
        cwd=ROOT,
        env=environment(migrated_database_url, ENVIRONMENT="production", SECRET_KEY=secret),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
    assert "SECRET_KEY: is too short" in result.stderr
    assert "Traceback" not in result.stderr
    assert secret not in result.stderr
