"""What tests and fixtures share."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx2
from aiosmtpd.smtp import SMTP, Envelope, Session
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from fastapi.middleware import Middleware
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import URL, Connection, event
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import ROOT, Settings
from app.core.cursor import Position
from app.crud.user import list_users
from app.db.session import Database, make_migration_engine
from app.http.middleware import RequestMiddleware
from app.models import User
from app.schemas.user import UserListParams, UserSort

AUTH = "/api/v1/auth"
USERS = "/api/v1/users"
ME = f"{USERS}/me"

# No word in it that a service might have as its name: some tests run the service as a process.
PASSWORD = "kv7 Mz2 qR9 tX4 wB6"
NEW_PASSWORD = "another long passphrase"


def assert_problem(response: httpx2.Response, status: int, problem: str) -> dict[str, Any]:
    """Check that *response* is these problem details, and return them."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"/problems/{problem}"
    assert body["status"] == status
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["title"]
    assert body["detail"]
    return body


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


class LifespanState:
    """Middleware that gives requests the state that a server keeps from the application's start."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(self._state)
        await self._app(scope, receive, send)


def alembic(url: URL, action: str, *arguments: str) -> None:
    """Run one of Alembic's commands, such as `upgrade` with `head`, on a database."""

    def run(connection: Connection) -> None:
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        getattr(command, action)(config, *arguments)

    async def connect_and_run() -> None:
        engine = make_migration_engine(url)
        async with engine.connect() as connection:
            await connection.run_sync(run)
        await engine.dispose()

    asyncio.run(connect_and_run())


@dataclass
class Mailbox:
    """What a real SMTP server has received."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- the name that aiosmtpd calls
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"

    async def wait_for(self, count: int, *, to: str | None = None) -> list[EmailMessage]:
        """Wait until *count* mails (to one address) have come in since the start of the test."""
        async with asyncio.timeout(10):
            while True:
                found = [mail for mail in self.messages if to is None or mail["To"] == to]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)


def token_in(message: EmailMessage) -> str:
    """The token of the link in a mail."""
    body = message.get_body(("plain",))
    assert body is not None
    match = re.search(r"\?token=(\S+)", body.get_content())
    assert match is not None
    return match[1]


async def sign_up(client: httpx2.AsyncClient, email: str) -> dict[str, Any]:
    response = await client.post(USERS, json={"email": email, "password": PASSWORD})
    assert response.status_code == 201, response.text
    user: dict[str, Any] = response.json()
    return user


async def log_in(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> dict[str, Any]:
    response = await client.post(f"{AUTH}/token", data={"username": email, "password": password})
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


async def token_for(client: httpx2.AsyncClient, mailbox: Mailbox, email: str, path: str) -> str:
    """Ask for a mail as a user does who has had one at sign-up, and take the token out of it.

    *path* is "verify-email" or "password-reset".
    """
    sent = len(await mailbox.wait_for(1, to=email))
    response = await client.post(f"{AUTH}/{path}/request", json={"email": email})
    assert response.status_code == 202, response.text
    return token_in((await mailbox.wait_for(sent + 1, to=email))[-1])


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def without_request_id(response: httpx2.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of a response, to be compared with those of another one."""
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


async def explain(
    database: Database, explain: str, sort: UserSort, after: Position | None, limit: int
) -> list[Any]:
    """The rows of EXPLAIN, in the words of the database, for a page of users."""
    executed: list[tuple[str, Any]] = []

    def note(
        _connection: object, _cursor: object, statement: str, values: object, *_: object
    ) -> None:
        executed.append((statement, values))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    async with database.read_session() as session:
        await list_users(session, UserListParams(sort=sort), after=after, limit=limit)
    event.remove(engine, "before_cursor_execute", note)
    ((statement, values),) = executed
    async with database.engine.connect() as connection:
        return list(await connection.exec_driver_sql(f"{explain} {statement}", values))


def position(user: User, sort: UserSort) -> Position:
    """Where a page begins that comes after this user."""
    return Position(user.email if sort.endswith("email") else user.created_at, user.id)
