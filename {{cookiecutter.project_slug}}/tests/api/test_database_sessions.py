"""Database sessions in routes: no write is lost in silence, and services can catch violations."""

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.core.exceptions import EmailTakenError
from app.crud.user import add_user, lock_user, read_user
from app.db.session import Database
from app.dependencies.current_user import CurrentUser
from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.dependencies.resources import Resources
from app.models.user import User
from tests.support import (
    ME,
    UserClient,
    assert_problem,
    make_user,
    request_refresh,
)


async def full_name(database: Database, user: UserClient) -> str | None:
    return (await read_user(database.read_session, user.user_id)).full_name


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_get_route_that_takes_a_writing_session_answers_500_and_logs_why(
    app: FastAPI, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    @app.api_route("/count", methods=[method], include_in_schema=False)
    async def count(session: SessionDep) -> None:
        """It isn't called."""

    response = await client.request(method, "/count")
    assert response.status_code == 500
    assert "a GET, HEAD or WebSocket route takes ReadSessionDep" in caplog.text


async def test_get_route_that_changes_the_current_user_answers_500_and_stores_nothing(
    app: FastAPI, ada: UserClient, database: Database
) -> None:
    @app.get("/change", include_in_schema=False)
    async def change(user: CurrentUser) -> None:
        user.full_name = "Lost"  # type: ignore[misc]  # rejected by mypy, on purpose

    assert_problem(await ada.get("/change"), 500, "internal-error")
    assert await full_name(database, ada) is None


async def test_post_route_that_changes_the_current_user_commits_nothing(
    app: FastAPI, ada: UserClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """CurrentUser was only read: the route must lock the user to change it."""

    @app.post("/change", include_in_schema=False)
    async def change(user: CurrentUser, session: SessionDep) -> None:
        await add_user(session, make_user("new@example.com"))
        user.full_name = "Lost"  # type: ignore[misc]  # rejected by mypy, on purpose

    assert_problem(await ada.post("/change"), 500, "internal-error")
    assert "frozen_instance" in caplog.text
    assert await full_name(database, ada) is None
    assert await database.read_session.scalar(select(func.count(User.id))) == 1


async def test_post_route_that_changes_the_user_it_has_locked_stores_the_change(
    app: FastAPI, ada: UserClient, database: Database
) -> None:
    @app.post("/change", include_in_schema=False)
    async def change(current: CurrentUser, session: SessionDep) -> str:
        user = await lock_user(session, current.id)
        assert user is not None
        user.full_name = "Stored"
        return "changed"

    assert (await ada.post("/change")).status_code == 200
    assert await full_name(database, ada) == "Stored"


async def test_route_can_catch_a_taken_address(
    app: FastAPI, ada: UserClient, database: Database
) -> None:
    @app.post("/invite", include_in_schema=False)
    async def invite(session: SessionDep) -> list[bool]:
        created = []
        for email in ("bob@example.com", ada.email, "eve@example.com"):
            try:
                async with session.begin_nested():
                    await add_user(session, make_user(email))
            except EmailTakenError:
                created.append(False)
            else:
                created.append(True)
        return created

    response = await ada.post("/invite")
    assert response.status_code == 200, response.text
    assert response.json() == [True, False, True]
    addresses = set(await database.read_session.scalars(select(User.email)))
    assert addresses == {ada.email, "bob@example.com", "eve@example.com"}


@pytest.mark.parametrize(
    "settings_values", [{"database_pool_size": 1, "database_pool_timeout": 0.05}]
)
async def test_request_that_gets_no_connection_is_answered_503(
    ada: UserClient, resources: Resources
) -> None:
    async with resources.database.engine.connect():
        reading = await ada.get(ME)
        writing = await request_refresh(ada, ada.tokens["refresh_token"])
    for response in (reading, writing):
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"


async def test_mounted_application_can_read(app: FastAPI, ada: UserClient) -> None:
    mounted = FastAPI()

    @mounted.get("/users")
    async def count_users(reader: ReadSessionDep) -> int | None:
        return await reader.scalar(select(func.count(User.id)))

    @mounted.get("/me")
    async def read_name(user: CurrentUser) -> str:
        return user.email

    app.mount("/mounted", mounted)
    assert (await ada.get("/mounted/users")).json() == 1
    assert (await ada.get("/mounted/me")).json() == ada.email


async def test_mounted_application_can_write(
    app: FastAPI, ada: UserClient, database: Database
) -> None:
    mounted = FastAPI()

    @mounted.post("/users")
    async def create_user(session: SessionDep) -> None:
        await add_user(session, make_user("bob@example.com"))

    app.mount("/mounted", mounted)
    assert (await ada.post("/mounted/users")).status_code == 200
    assert await database.read_session.scalar(select(func.count(User.id))) == 2
