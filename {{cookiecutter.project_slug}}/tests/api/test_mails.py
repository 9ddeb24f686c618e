"""Which requests send mails, and when; tests/utils/test_email.py is about the delivery itself."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.logging import request_id_var
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models import User
from app.services import account_service
from app.utils import email
from app.utils.email import Mail, Mailer
from tests.support import AUTH, PASSWORD, USERS, Mailbox, TestSettings, sign_up


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("verify-email", {"is_verified": True}),
        ("verify-email", {"is_active": False}),
        ("password-reset", {"is_active": False}),
    ],
)
async def test_account_that_has_no_use_for_a_mail(
    resources: Resources,
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    mailbox: Mailbox,
    database: Database,
    app: FastAPI,
    path: str,
    change: dict[str, bool],
) -> None:
    async with database.session.begin() as session:
        await session.execute(update(User).values(**change))
    response = await client.post(f"{AUTH}/{path}/request", json={"email": user["email"]})
    assert response.status_code == 202
    await resources.mailer.close()
    assert len(mailbox.messages) == 1  # the one after the sign-up


@pytest.mark.parametrize("path", ["verify-email", "password-reset"])
async def test_account_is_looked_up_after_the_answer(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    order = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_note(message: Message) -> None:
            order.append(message["type"])
            await send(message)

        await app(scope, receive, send_and_note)

    async def find_user_by_email(*_: object) -> None:
        order.append("look-up")

    monkeypatch.setattr(account_service, "find_user_by_email", find_user_by_email)
    transport = httpx2.ASGITransport(app=noting)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.post(f"{AUTH}/{path}/request", json={"email": "ada@example.com"})
    assert order == ["http.response.start", "http.response.body", "look-up"]


async def test_mail_that_cannot_be_made_is_logged(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def find_user_by_email(*_: object) -> None:
        raise OSError("not for the log")

    monkeypatch.setattr(account_service, "find_user_by_email", find_user_by_email)
    response = await client.post(f"{AUTH}/password-reset/request", json={"email": user["email"]})
    assert response.status_code == 202
    assert [record.message for record in caplog.records] == ["A mail could not be made"]
    assert "not for the log" not in str(caplog.records[0].__dict__)


async def test_mail_is_sent_after_the_commit(
    resources: Resources,
    client: httpx2.AsyncClient,
    app: FastAPI,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = []

    async def send(mail: Mail) -> None:
        async with database.read_session() as session:
            stored.append(await session.scalar(select(User.email).where(User.email == mail.to)))

    monkeypatch.setattr(resources.mailer, "send", send)
    await sign_up(client, "ada@example.com")
    assert stored == ["ada@example.com"]


async def test_failed_commit_sends_no_mail(
    resources: Resources, client: httpx2.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(_session: AsyncSession) -> None:
        raise ConnectionError

    sent: list[Mail] = []
    monkeypatch.setattr(resources.mailer, "send", sent.append)
    monkeypatch.setattr(AsyncSession, "commit", commit)
    body = {"email": "ada@example.com", "password": PASSWORD}
    assert (await client.post(USERS, json=body)).status_code == 503
    assert sent == []


class Lines(logging.Handler):
    """What is logged about mails, each line with the request's id."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        request_id = request_id_var.get()
        self.lines.append((request_id, record.__dict__))


@pytest.fixture
def lines() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    handler = Lines()
    logging.getLogger(email.__name__).addHandler(handler)
    yield handler.lines
    logging.getLogger(email.__name__).removeHandler(handler)


@pytest.mark.parametrize("accepts", [True, False])
async def test_smtp_server_that_does_not_answer_delays_no_request(
    resources: Resources,
    client: httpx2.AsyncClient,
    app: FastAPI,
    settings: Settings,
    user: dict[str, Any],
    lines: list[tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    accepts: bool,
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if accepts:
            server.listen()
            monkeypatch.setattr(email, "SHUTDOWN_GRACE_SECONDS", 0.05)
        values = settings.model_dump() | {"smtp_port": server.getsockname()[1]}
        await resources.mailer.close()
        resources.mailer = Mailer(TestSettings(**values), retry_delays=(0,))
        # The test's client waits for background tasks as well.
        async with asyncio.timeout(2):
            response = await client.post(
                f"{AUTH}/password-reset/request",
                json={"email": user["email"]},
                headers={"X-Request-ID": "asked-by-ada"},
            )
        assert response.status_code == 202
        await resources.mailer.close()
    assert lines[-1][1]["levelno"] == logging.ERROR
    assert lines[-1][1]["reason"] == ("CancelledError" if accepts else "SMTPConnectError")
    assert {request_id for request_id, _ in lines} == {"asked-by-ada"}
    assert "eyJ" not in str(lines)  # how a token begins
