"""The database session of a request: committed before the response, or rolled back."""

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.core.exceptions import AppError, ConflictError, RefreshTokenReusedError
from app.crud.user import add_user
from app.db.session import Database
from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.models.user import User
from tests.support import UserClient, assert_problem


async def stored_names(database: Database) -> list[str | None]:
    async with database.read_session() as reader:
        return list(await reader.scalars(select(User.full_name).order_by(User.email)))


def make_user(email: str = "bob@example.com") -> User:
    return User(email=email, hashed_password="x", full_name="Bob")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_safe_method_with_a_writing_session_is_a_bug(
    app: FastAPI, ada: UserClient, database: Database, method: str
) -> None:
    @app.api_route("/write", methods=[method], include_in_schema=False)
    async def write(session: SessionDep) -> None:
        session.add(make_user())

    assert (await ada.request(method, "/write")).status_code == 500
    assert await stored_names(database) == [None]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_change_of_an_object_that_was_only_read_is_a_bug(
    app: FastAPI, ada: UserClient, database: Database, method: str
) -> None:
    @app.api_route("/change", methods=[method], include_in_schema=False)
    async def change(reader: ReadSessionDep) -> None:
        (await reader.scalars(select(User))).one().full_name = "lost"

    assert_problem(await ada.request(method, "/change"), 500, "internal-error")
    assert await stored_names(database) == [None]


async def test_change_of_a_read_object_rolls_back_the_writes_of_the_request(
    app: FastAPI, ada: UserClient, database: Database
) -> None:
    @app.post("/change", include_in_schema=False)
    async def change(reader: ReadSessionDep, session: SessionDep) -> None:
        await add_user(session, make_user())
        (await reader.scalars(select(User).where(User.email == ada.email))).one().full_name = "lost"

    assert_problem(await ada.post("/change"), 500, "internal-error")
    assert await stored_names(database) == [None]


@pytest.mark.parametrize(
    ("error", "is_stored"), [(ConflictError("no"), False), (RefreshTokenReusedError(), True)]
)
async def test_error_decides_whether_changes_are_stored(
    app: FastAPI, ada: UserClient, database: Database, error: AppError, is_stored: bool
) -> None:
    @app.post("/fail", include_in_schema=False)
    async def fail(session: SessionDep) -> None:
        session.add(make_user())
        raise error

    assert (await ada.post("/fail")).status_code == error.status
    assert await stored_names(database) == ([None, "Bob"] if is_stored else [None])


async def test_unique_violation_at_the_commit_gives_its_problem(
    app: FastAPI, ada: UserClient
) -> None:
    @app.post("/add", include_in_schema=False)
    async def add(session: SessionDep) -> None:
        session.add(make_user(ada.email))  # flushed by the commit

    assert_problem(await ada.post("/add"), 409, "email-already-registered")
