"""Errors of the database: which ones are bugs (500), and which pass (503)."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI
from sqlalchemy import insert, update

from app.dependencies.get_db import SessionDep
from app.models import User, UserSession
from tests.support import assert_problem


async def test_get_that_writes_is_a_bug(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    @app.get("/flush", include_in_schema=False)
    async def flush(session: SessionDep) -> None:
        session.add(User(email="new@example.com", hashed_password="x"))
        await session.flush()

    @app.get("/update", include_in_schema=False)
    async def update_all(session: SessionDep) -> None:
        await session.execute(update(User).values(full_name="x"))

    for path in ("/flush", "/update"):
        assert_problem(await client.get(path), 500, "internal-error")


async def test_failed_commit_is_an_error(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def fail() -> None:
        raise ConnectionError("connection lost")

    @app.post("/write", include_in_schema=False)
    async def write(session: SessionDep) -> None:
        session.commit = fail  # type: ignore[method-assign]  # the commit's own failure

    response = await client.post("/write")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_broken_foreign_key_is_a_bug(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/orphan", include_in_schema=False)
    async def orphan(session: SessionDep) -> None:
        session.add(UserSession(user_id=uuid4()))

    assert_problem(await client.post("/orphan"), 500, "internal-error")


async def test_unknown_unique_violation_is_a_bug(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    @app.post("/twice", include_in_schema=False)
    async def twice(session: SessionDep) -> None:
        await session.execute(
            insert(User).values(id=UUID(user["id"]), email="x@example.com", hashed_password="x")
        )

    assert_problem(await client.post("/twice"), 500, "internal-error")
