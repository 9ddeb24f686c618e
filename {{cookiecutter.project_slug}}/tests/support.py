"""Helpers that tests and fixtures share."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

import argon2
import httpx2
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from fastapi.middleware import Middleware
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL, Connection, QueuePool, event
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core import event_loop
from app.core.client import Client
from app.core.config import ROOT, Settings
from app.core.passwords import PasswordHasher, PasswordPolicy
from app.db.engine import make_migration_engine
from app.db.session import Database
from app.dependencies.resources import Resources
from app.http.middleware import RequestMiddleware
from app.models.user import User
from app.schemas.user import UserRead
from app.services.auth_service import AuthService

Result = TypeVar("Result")

AUTH = "/api/v1/auth"
USERS = "/api/v1/users"
ME = f"{USERS}/me"

# No word in it that a service might have as its name: some tests run the service as a process.
PASSWORD = "kv7 Mz2 qR9 tX4 wB6"
NEW_PASSWORD = "another long passphrase"
# Normalising this takes quadratic time, which would stop the whole service.
TOO_LONG = "e" + "\u0301" * 100_000


def set_limits(app: FastAPI, **limits: float) -> None:
    """Use other limits of requests than the service's own, until the end of the test."""
    for number, (middleware, _, options) in enumerate(app.user_middleware):
        if middleware is RequestMiddleware:
            app.user_middleware[number] = Middleware(middleware, **(options | limits))


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class TestSettings(Settings):
    """Settings that come from the test alone."""

    __test__ = False
    model_config = SettingsConfigDict(env_file=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


# One set of threads for all tests. On Python 3.11, coverage can hang when threads end at once in which
# it has followed greenlets.
_THREADS = ThreadPoolExecutor(8)


_CHEAP_ARGON2 = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)


class _CheapPasswordHasher(PasswordHasher):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._executor = _THREADS

    def close(self) -> None:
        """Keep the threads."""


def cheap_password_hasher(settings: Settings, **arguments: Any) -> PasswordHasher:
    """Hash with parameters that protect nothing, in a fraction of the time."""
    # The passwords of tests may contain the name of this service.
    policy = replace(PasswordPolicy.from_settings(settings), service_name="Analytical Engine")
    return _CheapPasswordHasher(policy, _CHEAP_ARGON2, **{"max_wait": 30, **arguments})


@cache
def hash_cheaply(password: str) -> str:
    return _CHEAP_ARGON2.hash(password)


class PausableArgon2(argon2.PasswordHasher):
    """Cheap hashing that a test can count, and pause in its threads to look at the service."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=16, parallelism=1)
        self.verified: list[str] = []
        self.running = self.most_at_once = 0
        self._lock = threading.Lock()
        self._go_on = threading.Event()
        self._go_on.set()

    def pause(self) -> None:
        self._go_on.clear()

    def resume(self) -> None:
        self._go_on.set()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._counted():
            return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 -- the name that argon2 uses
        self.verified.append(str(hash))
        with self._counted():
            return super().verify(hash, password)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        self._go_on.wait(timeout=10)
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1


class LifespanState:
    """Middleware that gives requests the state that a server keeps from the application's start."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(self._state)
        await self._app(scope, receive, send)


def alembic_config(versions: Sequence[Path] = ()) -> Config:
    """Return Alembic's configuration, with more folders of revisions if a test has its own."""
    config = Config(ROOT / "alembic.ini")
    if versions:
        folders = [str(folder) for folder in (ROOT / "alembic/versions", *versions)]
        locations = os.pathsep.join(folders).replace("%", "%%")
        config.set_main_option("version_locations", locations)
    return config


def on_connection(url: URL, run: Callable[[Connection], Result]) -> Result:
    """Run a function, in a transaction, on a database without a service."""

    async def connect_and_run() -> Result:
        engine = make_migration_engine(url)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(run)
        finally:
            await engine.dispose()

    return asyncio.run(connect_and_run())


def alembic(url: URL, action: str, *arguments: str, versions: Sequence[Path] = ()) -> None:
    """Run one of Alembic's commands, such as `upgrade` with `head`, on a database."""
    config = alembic_config(versions)

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        getattr(command, action)(config, *arguments)

    async def connect_and_run() -> None:
        engine = make_migration_engine(url)
        try:
            # Not in a transaction: Alembic begins its own.
            async with engine.connect() as connection:
                await connection.run_sync(run)
        finally:
            await engine.dispose()

    event_loop.run(connect_and_run())


async def request_token(
    client: httpx2.AsyncClient, username: str, password: str = PASSWORD
) -> httpx2.Response:
    """Try to sign in. `UserClient.sign_in` is for those who succeed."""
    form = {"username": username, "password": password}
    return await client.post(f"{AUTH}/token", data=form)


async def request_refresh(client: httpx2.AsyncClient, refresh_token: str) -> httpx2.Response:
    """Try to exchange a refresh token for new tokens."""
    return await client.post(f"{AUTH}/refresh", json={"refresh_token": refresh_token})


def sign_up_body(email: str, password: str = PASSWORD, **fields: Any) -> dict[str, Any]:
    """Return a valid body of a sign-up. A required field that you add to `UserCreate` belongs here."""
    return {"email": email, "password": password, **fields}


def make_user(email: str = "ada@example.com", **values: Any) -> User:
    """Make a user who can't sign in. A required column that you add to `User` belongs here."""
    return User(**{"email": email, "hashed_password": "x", **values})


class UserClient(httpx2.AsyncClient):
    """A client that can sign up and sign in. Once it has, its requests carry the access token."""

    user: dict[str, Any]
    tokens: dict[str, Any]

    @property
    def user_id(self) -> UUID:
        return UUID(self.user["id"])

    @property
    def email(self) -> str:
        email: str = self.user["email"]
        return email

    async def store_account(self, resources: Resources, email: str, **values: Any) -> None:
        """Store an account with PASSWORD and sign in, without requests and mails, which take longer."""
        database = resources.database
        async with database.session.begin() as session:
            user = make_user(email, hashed_password=hash_cheaply(PASSWORD), **values)
            session.add(user)
            await session.flush()
            service = AuthService(
                session,
                database.read_session,
                resources.settings,
                resources.password_hasher,
                resources.rate_limits,
            )
            tokens = await service.open_session(user.id, Client("test", "127.0.0.1"))
        self.user = UserRead.model_validate(user).model_dump(mode="json")
        self._use(tokens.model_dump(mode="json"))

    async def sign_up(self, email: str, password: str = PASSWORD) -> None:
        response = await self.post(USERS, json=sign_up_body(email, password))
        assert response.status_code == 201, response.text
        self.user = response.json()

    async def sign_in(self, password: str = PASSWORD) -> None:
        response = await request_token(self, self.email, password)
        assert response.status_code == 200, response.text
        self._use(response.json())

    def _use(self, tokens: dict[str, Any]) -> None:
        self.tokens = tokens
        self.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    async def is_signed_in(self) -> bool:
        """Return whether the access token works."""
        response = await self.get(ME)
        assert response.status_code in {200, 401}, response.text
        return response.status_code == 200

    async def can_refresh(self) -> bool:
        """Return whether the refresh token works. This consumes it."""
        response = await request_refresh(self, self.tokens["refresh_token"])
        assert response.status_code in {200, 401}, response.text
        return response.status_code == 200


def client_of(app: ASGIApp, address: str = "127.0.0.1", root_path: str = "") -> UserClient:
    """Make a client of the application that connects from *address*."""
    # Errors of the application answer 500, as they do for a real client.
    transport = httpx2.ASGITransport(
        app=app, raise_app_exceptions=False, root_path=root_path, client=(address, 50000)
    )
    return UserClient(transport=transport, base_url="http://test")


def assert_problem(
    response: httpx2.Response, status: int, slug: str, *, detail: str | None = None
) -> dict[str, Any]:
    """Assert that the response is this problem (RFC 9457), and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["instance"] == response.request.url.path
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert problem["title"]
    assert problem["detail"] if detail is None else problem["detail"] == detail
    return problem


def assert_invalid(response: httpx2.Response, *pointers: str) -> dict[str, Any]:
    """Assert that the response is 422 with an error for each of these places of the body."""
    problem = assert_problem(response, 422, "validation-error")
    assert [error.get("pointer") for error in problem["errors"]] == list(pointers)
    return problem


def without_request_id(response: httpx2.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return status, headers and body of a response, to compare them with those of another one."""
    headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
    body = {**(response.json() if response.content else {}), "request_id": ""}
    return response.status_code, headers, body


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """List the SQL statements that are executed on *database* in this block."""
    executed: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield executed
    event.remove(engine, "before_cursor_execute", note)


def connections_in_use(resources: Resources) -> int:
    pool = resources.database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()
