"""Integrity errors that no table translates are bugs (500)."""

from uuid import uuid4

import httpx2
from fastapi import FastAPI
from sqlalchemy import insert

from app.dependencies.get_db import SessionDep
from app.models.user import User
from app.models.user_session import UserSession
from tests.support import UserClient, assert_problem


async def test_broken_foreign_key_is_a_bug(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/orphan", include_in_schema=False)
    async def orphan(session: SessionDep) -> None:
        session.add(UserSession(user_id=uuid4()))

    assert_problem(await client.post("/orphan"), 500, "internal-error")


async def test_unknown_unique_violation_is_a_bug(app: FastAPI, ada: UserClient) -> None:
    @app.post("/twice", include_in_schema=False)
    async def twice(session: SessionDep) -> None:
        await session.execute(
            insert(User).values(id=ada.user_id, email="x@example.com", hashed_password="x")
        )

    assert_problem(await ada.post("/twice"), 500, "internal-error")
