"""What a client was told is stored, is stored."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL, select

from app.db.session import Database
from app.models import User
from tests.service import running_service
from tests.support import PASSWORD, sign_up, wait_until


async def test_others_see_a_row_at_once(client: httpx2.AsyncClient, database: Database) -> None:
    for number in range(20):
        user = await sign_up(client, f"user{number}@example.com")
        async with database.read_session() as session:
            found = await session.scalar(select(User.email).where(User.email == user["email"]))
        assert found == user["email"]


@pytest.mark.slow
async def test_kill_loses_nothing(
    migrated_database_url: URL, database: Database, tmp_path: Path
) -> None:
    """SIGKILL under load: each write that was acknowledged is in the database."""
    acknowledged: set[str] = set()

    async def write(client: httpx2.AsyncClient, name: str) -> None:
        number = 0
        while True:
            number += 1
            email = f"{name}-{number}@example.com"
            try:
                response = await client.post(
                    "/api/v1/users", json={"email": email, "password": PASSWORD}
                )
            except httpx2.TransportError:
                return
            # 503: a busy machine has not hashed the password within the second that it waits for that.
            assert response.status_code in {201, 503}, response.text
            acknowledged.update([email] if response.status_code == 201 else [])

    with running_service(migrated_database_url, tmp_path) as service:
        async with (
            httpx2.AsyncClient(base_url=service.address, timeout=30) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(16):
                tasks.create_task(write(client, f"writer{number}"))
            await wait_until(lambda: len(acknowledged) >= 50, seconds=60)
            service.process.kill()
    async with database.read_session() as session:
        stored = set(await session.scalars(select(User.email)))
    assert acknowledged <= stored
    assert len(stored - acknowledged) <= 16  # those that were in flight


@pytest.mark.slow
async def test_many_writers_in_several_processes(
    migrated_database_url: URL, database: Database, tmp_path: Path
) -> None:
    emails = {f"{writer}-{number}@example.com" for writer in range(20) for number in range(3)}
    left = sorted(emails)

    async def write(client: httpx2.AsyncClient) -> None:
        while left:
            body = {"email": left.pop(), "password": PASSWORD}
            response = await client.post("/api/v1/users", json=body)
            assert response.status_code in {201, 503}, response.text
            left.extend([body["email"]] if response.status_code == 503 else [])

    with running_service(
        migrated_database_url, tmp_path, WEB_CONCURRENCY="2", SHUTDOWN_DELAY="0"
    ) as service:
        async with (
            httpx2.AsyncClient(base_url=service.address, timeout=30) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(20):
                tasks.create_task(write(client))
        service.process.terminate()  # which its workers need in order to end
        service.process.wait(timeout=30)
    async with database.read_session() as session:
        assert set(await session.scalars(select(User.email))) == emails
