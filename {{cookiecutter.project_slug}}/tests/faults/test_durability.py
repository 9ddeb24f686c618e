"""A write that was acknowledged is stored, whatever happens afterwards."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import URL, select

from app.db.session import Database
from app.models.user import User
from tests.service import running_service
from tests.support import (
    USERS,
    client_of,
    sign_up_body,
    wait_until,
)


async def test_row_is_visible_to_others_when_the_response_arrives(
    app: FastAPI, database: Database
) -> None:
    for number in range(20):
        async with client_of(app) as client:
            await client.sign_up(f"user{number}@example.com")
        async with database.session() as reader:
            found = await reader.scalar(select(User.email).where(User.email == client.email))
        assert found == client.email


@pytest.mark.slow
async def test_killed_service_loses_no_acknowledged_write(
    migrated_database_url: URL, database: Database, tmp_path: Path
) -> None:
    acknowledged: set[str] = set()

    async def write(client: httpx2.AsyncClient, name: str) -> None:
        number = 0
        while True:
            number += 1
            email = f"{name}-{number}@example.com"
            try:
                response = await client.post(USERS, json=sign_up_body(email))
            except httpx2.TransportError:
                return
            # 503: on a busy machine, the password waited too long for its slot.
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
    async with database.session() as reader:
        stored = set(await reader.scalars(select(User.email)))
    assert acknowledged <= stored
    assert len(stored - acknowledged) <= 16  # those that were in flight


@pytest.mark.slow
async def test_writers_in_several_processes_lose_nothing(
    migrated_database_url: URL, database: Database, tmp_path: Path
) -> None:
    emails = {f"{writer}-{number}@example.com" for writer in range(20) for number in range(3)}
    left = sorted(emails)

    async def write(client: httpx2.AsyncClient) -> None:
        while left:
            body = sign_up_body(left.pop())
            response = await client.post(USERS, json=body)
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
        service.process.terminate()  # a killed one would leave its workers behind
        service.process.wait(timeout=30)
    async with database.session() as reader:
        assert set(await reader.scalars(select(User.email))) == emails
