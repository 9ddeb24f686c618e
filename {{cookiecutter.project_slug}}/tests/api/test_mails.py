"""Which requests send mails, and when; tests/utils/test_email.py is about the delivery itself."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, event, select, update
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.exceptions import UnavailableError
from app.core.logging import request_id_var
from app.db.session import Database
from app.dependencies.resources import Resources
from app.manage import create_first_superuser
from app.models.user import User
from app.services import account_mail
from app.utils import email
from app.utils.email import Mail, Mailer
from tests.mailbox import Mailbox
from tests.support import (
    AUTH,
    ME,
    PASSWORD,
    USERS,
    TestSettings,
    UserClient,
    assert_problem,
    client_of,
    sign_up_body,
)

SIGN_UP = sign_up_body("ada@example.com")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("verify-email", {"is_verified": True}),
        ("verify-email", {"is_active": False}),
        ("password-reset", {"is_active": False}),
    ],
)
async def test_account_with_no_use_for_a_mail_gets_none(
    ada: UserClient,
    mailbox: Mailbox,
    database: Database,
    resources: Resources,
    path: str,
    change: dict[str, bool],
) -> None:
    async with database.session.begin() as session:
        await session.execute(update(User).values(**change))
    response = await ada.post(f"{AUTH}/{path}/request", json={"email": ada.email})
    assert response.status_code == 202
    await resources.mailer.close()
    assert mailbox.messages() == []


@pytest.mark.parametrize("path", ["verify-email", "password-reset"])
async def test_account_is_looked_up_after_the_response(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The response time must not reveal whether the account exists."""
    order = []

    async def observed_app(scope: Scope, receive: Receive, send: Send) -> None:
        async def observed_send(message: Message) -> None:
            order.append(message["type"])
            await send(message)

        await app(scope, receive, observed_send)

    async def find_credentials_by_email(*_: object) -> None:
        order.append("look-up")

    monkeypatch.setattr(account_mail, "find_credentials_by_email", find_credentials_by_email)
    async with client_of(observed_app) as client:
        await client.post(f"{AUTH}/{path}/request", json={"email": "ada@example.com"})
    assert order == ["http.response.start", "http.response.body", "look-up"]


@pytest.mark.parametrize("path", ["verify-email", "password-reset"])
async def test_request_for_a_mail_has_an_empty_answer(
    client: httpx2.AsyncClient, path: str
) -> None:
    response = await client.post(f"{AUTH}/{path}/request", json={"email": "nobody@example.com"})
    assert response.status_code == 202
    assert response.content == b""
    described = (await client.get("/openapi.json")).json()["paths"][f"{AUTH}/{path}/request"]
    always = {"400", "408", "413", "414", "415", "431", "500", "503"}
    assert described["post"]["responses"].keys() == {"202", "422", "429"} | always


async def test_superuser_created_by_a_command_gets_no_mail(
    settings: Settings, mailbox: Mailbox, resources: Resources
) -> None:
    values = settings.model_dump() | {
        "first_superuser_email": "root@example.com",
        "first_superuser_password": PASSWORD,
    }
    assert await create_first_superuser(TestSettings(**values))
    await resources.mailer.close()
    assert mailbox.messages() == []


async def test_mail_that_cannot_be_written_is_logged_without_personal_data(
    ada: UserClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def find_credentials_by_email(*_: object) -> None:
        raise OSError("not for the log")

    monkeypatch.setattr(account_mail, "find_credentials_by_email", find_credentials_by_email)
    response = await ada.post(f"{AUTH}/password-reset/request", json={"email": ada.email})
    assert response.status_code == 202
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message == "A mail could not be written"
    assert "not for the log" not in str(record.__dict__)


async def test_mail_is_sent_after_the_commit(
    client: httpx2.AsyncClient,
    resources: Resources,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = []

    async def is_stored(address: str) -> bool:
        async with database.session() as reader:
            return await reader.scalar(select(User.id).where(User.email == address)) is not None

    def send(mail: Mail) -> None:
        checks.append(asyncio.create_task(is_stored(mail.to)))

    monkeypatch.setattr(resources.mailer, "send", send)
    assert (await client.post(USERS, json=SIGN_UP)).status_code == 201
    assert await asyncio.gather(*checks) == [True]


async def test_failed_commit_sends_no_mail(
    client: httpx2.AsyncClient, resources: Resources, mailbox: Mailbox
) -> None:
    def fail(_connection: Connection) -> None:
        raise UnavailableError(retry_after=1)

    event.listen(resources.database.engine.sync_engine, "commit", fail)
    assert_problem(await client.post(USERS, json=SIGN_UP), 503, "unavailable")
    await resources.mailer.close()
    assert mailbox.messages() == []


@pytest.mark.parametrize("settings_values", [{"email_enabled": False}])
async def test_service_without_mail_sends_none(
    ada: UserClient, resources: Resources, mailbox: Mailbox
) -> None:
    response = await ada.patch(ME, json={"email": "new@example.com"})
    assert response.status_code == 200
    assert response.json()["is_verified"] is False
    await resources.mailer.close()
    assert mailbox.messages() == []


class RecordsOfRequests(logging.Handler):
    """Keeps what is logged, and the id of the request on whose behalf it is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((request_id_var.get(), record.__dict__))


@pytest.fixture
def mail_log() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    handler = RecordsOfRequests()
    logger = logging.getLogger(email.__name__)
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)


@pytest.mark.parametrize("accepts", [True, False])
async def test_dead_smtp_server_delays_no_request_and_is_logged(
    ada: UserClient,
    resources: Resources,
    settings: Settings,
    mail_log: list[tuple[str, dict[str, Any]]],
    accepts: bool,
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if accepts:
            server.listen()
        values = settings.model_dump() | {"smtp_port": server.getsockname()[1]}
        await resources.mailer.close()
        resources.mailer = Mailer(
            TestSettings(**values), retry_delays=(0,), shutdown_grace=0.05 if accepts else 10
        )
        # The client of the test waits for background tasks, too.
        async with asyncio.timeout(2):
            response = await ada.post(
                f"{AUTH}/password-reset/request",
                json={"email": ada.email},
                headers={"X-Request-ID": "asked-by-ada"},
            )
        assert response.status_code == 202
        await resources.mailer.close()
    assert mail_log[-1][1]["levelno"] == logging.ERROR
    assert mail_log[-1][1]["reason"] == ("CancelledError" if accepts else "SMTPConnectError")
    assert {request_id for request_id, _ in mail_log} == {"asked-by-ada"}
    assert "eyJ" not in str(mail_log)  # how a token begins
