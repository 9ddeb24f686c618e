"""The service as a process: what only a real server shows."""

import asyncio
import json
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL, select

from app.core.config import ROOT
from app.db.session import Database
from app.models.user import User
from tests.service import environment, running_service

pytestmark = pytest.mark.slow  # each test starts processes


def test_python_m_app_serves_and_stops(migrated_database_url: URL, tmp_path: Path) -> None:
    with running_service(migrated_database_url, tmp_path, SHUTDOWN_DELAY="0") as service:
        assert httpx2.get(f"{service.address}/readyz").json() == {"status": "ok"}
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(timeout=10)


def test_parent_of_workers_logs_like_they_do(migrated_database_url: URL, tmp_path: Path) -> None:
    with running_service(migrated_database_url, tmp_path, WEB_CONCURRENCY="2") as service:
        events = [json.loads(line)["event"] for line in service.log.read_text().splitlines()]
    assert any(event.startswith("Started parent process") for event in events)
    assert any(event.startswith("Started server process") for event in events)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_development_has_no_shutdown_delay(migrated_database_url: URL, tmp_path: Path) -> None:
    with running_service(
        migrated_database_url, tmp_path, ENVIRONMENT="development", SHUTDOWN_DELAY="60"
    ) as service:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(timeout=10)


def test_bad_settings_are_one_message_before_anything_listens(migrated_database_url: URL) -> None:
    secret = "short-and-hidden"
    result = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=environment(
            migrated_database_url,
            ENVIRONMENT="production",
            SECRET_KEY=secret,
            WEB_CONCURRENCY="2",
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.startswith("The service can't start with these settings:")
    assert result.stderr.count("SECRET_KEY: is too short") == 1
    assert "Traceback" not in result.stderr
    assert secret not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="psycopg's event loop starts no processes")
async def test_two_processes_create_the_superuser_at_once(
    migrated_database_url: URL, database: Database
) -> None:
    settings = environment(
        migrated_database_url,
        FIRST_SUPERUSER_EMAIL="root@example.com",
        FIRST_SUPERUSER_PASSWORD="vTq8-mZx4-Kp2w-9LrB",
    )
    command = [sys.executable, "-m", "app.db.init_db"]
    processes = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=settings, stdout=PIPE)
        for _ in range(2)
    ]
    outputs = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    said = [output.decode().strip().partition(": ")[2] for output in outputs]
    assert sorted(said) == ["created.", "exists already."]
    async with database.session() as session:
        user = (await session.scalars(select(User))).one()
    assert user.is_superuser
