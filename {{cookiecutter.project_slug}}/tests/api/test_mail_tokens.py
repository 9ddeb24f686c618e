"""Proofs that travel by mail."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.db.session import Database
from app.models import User
from app.services import account_service
from app.utils import email
from app.utils.email import Mail, Mailer
from tests.support import (
    PASSWORD,
    Mailbox,
    TestSettings,
    bearer,
    log_in,
    sign_up,
    token_in,
    without_request_id,
)

AUTH = "/api/v1/auth"
USERS = "/api/v1/users"
ME = f"{USERS}/me"
NEW_PASSWORD = "another long passphrase"


async def is_verified(client: httpx2.AsyncClient, headers: dict[str, str]) -> bool:
    verified: bool = (await client.get(ME, headers=headers)).json()["is_verified"]
    return verified


async def test_sign_up_sends_a_link_that_verifies_once(
    client: httpx2.AsyncClient, user_headers: dict[str, str], mailbox: Mailbox
) -> None:
    (message,) = await mailbox.wait_for(1)
    assert message["To"] == "ada@example.com"
    html = message.get_body(("html",))
    assert html is not None
    assert "http://localhost:3000/verify-email?token=" in html.get_content()
    token = {"token": token_in(message)}
    assert not await is_verified(client, user_headers)
    assert (await client.post(f"{AUTH}/verify-email", json=token)).status_code == 204
    assert await is_verified(client, user_headers)
    response = await client.post(f"{AUTH}/verify-email", json=token)
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-token"


async def test_verification_can_be_asked_for_again(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox
) -> None:
    response = await client.post(f"{AUTH}/verify-email/request", json={"email": "ADA@example.com"})
    assert response.status_code == 202
    _, message = await mailbox.wait_for(2)
    response = await client.post(f"{AUTH}/verify-email", json={"token": token_in(message)})
    assert response.status_code == 204


async def test_changed_address_is_verified_with_its_own_mail(
    client: httpx2.AsyncClient, user_headers: dict[str, str], mailbox: Mailbox
) -> None:
    (old,) = await mailbox.wait_for(1)
    await client.patch(ME, json={"email": "new@example.com"}, headers=user_headers)
    _, new = await mailbox.wait_for(2)
    assert new["To"] == "new@example.com"
    response = await client.post(f"{AUTH}/verify-email", json={"token": token_in(old)})
    assert response.status_code == 422
    assert not await is_verified(client, user_headers)
    response = await client.post(f"{AUTH}/verify-email", json={"token": token_in(new)})
    assert response.status_code == 204
    assert await is_verified(client, user_headers)


async def test_reset_sets_the_password_once_and_ends_every_login(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox
) -> None:
    tokens = await log_in(client, user["email"])
    response = await client.post(f"{AUTH}/password-reset/request", json={"email": user["email"]})
    assert response.status_code == 202
    _, message = await mailbox.wait_for(2)
    body = {"token": token_in(message), "new_password": NEW_PASSWORD}
    assert (await client.post(f"{AUTH}/password-reset", json=body)).status_code == 204
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 401
    await log_in(client, user["email"], NEW_PASSWORD)
    response = await client.post(
        f"{AUTH}/token", data={"username": user["email"], "password": PASSWORD}
    )
    assert response.status_code == 401
    assert (await client.post(f"{AUTH}/password-reset", json=body)).status_code == 422


async def test_reset_refuses_a_guessable_password(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox
) -> None:
    await client.post(f"{AUTH}/password-reset/request", json={"email": user["email"]})
    _, message = await mailbox.wait_for(2)
    response = await client.post(
        f"{AUTH}/password-reset",
        json={"token": token_in(message), "new_password": "my ada@example.com"},
    )
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"detail": "must not contain the e-mail address", "pointer": "/new_password"}
    ]


async def token_for(
    client: httpx2.AsyncClient, mailbox: Mailbox, user: dict[str, Any], path: str
) -> str:
    """Ask for a mail and take the token out of it."""
    sent = len(await mailbox.wait_for(1))
    response = await client.post(f"{AUTH}/{path}/request", json={"email": user["email"]})
    assert response.status_code == 202
    return token_in((await mailbox.wait_for(sent + 1))[-1])


def body_for(path: str, token: str) -> dict[str, str]:
    return {"token": token} | ({"new_password": NEW_PASSWORD} if path == "password-reset" else {})


BOTH = pytest.mark.parametrize("path", ["verify-email", "password-reset"])


@BOTH
async def test_token_expires(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    monkeypatch.setattr(account_service, "VERIFICATION_LIFETIME", timedelta(seconds=-1))
    monkeypatch.setattr(account_service, "RESET_LIFETIME", timedelta(seconds=-1))
    token = await token_for(client, mailbox, user, path)
    response = await client.post(f"{AUTH}/{path}", json=body_for(path, token))
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-token"


async def change_address_and_back(
    client: httpx2.AsyncClient, user: dict[str, Any], headers: dict[str, str]
) -> None:
    for address in ("new@example.com", user["email"]):
        response = await client.patch(ME, json={"email": address}, headers=headers)
        assert response.status_code == 200


async def change_password(
    client: httpx2.AsyncClient, user: dict[str, Any], headers: dict[str, str]
) -> None:
    body = {"current_password": PASSWORD, "new_password": PASSWORD}
    assert (await client.post(f"{ME}/password", json=body, headers=headers)).status_code == 204


@BOTH
@pytest.mark.parametrize("change", [change_address_and_back, change_password])
async def test_token_dies_when_address_or_password_changes(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    user_headers: dict[str, str],
    mailbox: Mailbox,
    path: str,
    change: Callable[..., Awaitable[None]],
) -> None:
    token = await token_for(client, mailbox, user, path)
    await change(client, user, user_headers)
    response = await client.post(f"{AUTH}/{path}", json=body_for(path, token))
    assert response.status_code == 422


@BOTH
async def test_token_of_an_inactive_user(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    mailbox: Mailbox,
    database: Database,
    path: str,
) -> None:
    token = await token_for(client, mailbox, user, path)
    async with database.session.begin() as session:
        (await session.scalars(select(User))).one().is_active = False
    response = await client.post(f"{AUTH}/{path}", json=body_for(path, token))
    assert response.status_code == 422


@BOTH
async def test_token_survives_what_does_not_concern_it(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    user_headers: dict[str, str],
    mailbox: Mailbox,
    path: str,
) -> None:
    token = await token_for(client, mailbox, user, path)
    change = {"full_name": "Ada", "email": user["email"]}
    assert (await client.patch(ME, json=change, headers=user_headers)).status_code == 200
    if path == "password-reset":
        verification = body_for("verify-email", token_in(mailbox.messages[0]))
        await client.post(f"{AUTH}/verify-email", json=verification)
    response = await client.post(f"{AUTH}/{path}", json=body_for(path, token))
    assert response.status_code == 204


@BOTH
async def test_one_of_many_uses_wins(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox, path: str
) -> None:
    body = body_for(path, await token_for(client, mailbox, user, path))
    responses = await asyncio.gather(*(client.post(f"{AUTH}/{path}", json=body) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [204] + [422] * 9


async def test_used_verification_stays_used(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    superuser_headers: dict[str, str],
    mailbox: Mailbox,
) -> None:
    token = {"token": await token_for(client, mailbox, user, "verify-email")}
    assert (await client.post(f"{AUTH}/verify-email", json=token)).status_code == 204
    path = f"{USERS}/{user['id']}"
    await client.patch(path, json={"is_verified": False}, headers=superuser_headers)
    assert (await client.post(f"{AUTH}/verify-email", json=token)).status_code == 422


@BOTH
async def test_unknown_address_gets_the_same_answer_and_no_mail(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox, app: FastAPI, path: str
) -> None:
    answers = []
    for address in (user["email"], "nobody@example.com"):
        response = await client.post(f"{AUTH}/{path}/request", json={"email": address})
        answers.append(without_request_id(response))
    known, unknown = answers
    assert known == unknown
    await app.state.mailer.close()
    assert {message["To"] for message in mailbox.messages} == {"ada@example.com"}


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
@BOTH
async def test_forged_token(client: httpx2.AsyncClient, path: str, token: str) -> None:
    response = await client.post(f"{AUTH}/{path}", json=body_for(path, token))
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-token"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("verify-email", {"is_verified": True}),
        ("verify-email", {"is_active": False}),
        ("password-reset", {"is_active": False}),
    ],
)
async def test_account_that_has_no_use_for_a_mail(
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
    await app.state.mailer.close()
    assert len(mailbox.messages) == 1  # the one after the sign-up


@BOTH
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
    client: httpx2.AsyncClient, app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []

    async def send(mail: Mail) -> None:
        async with database.read_session() as session:
            stored.append(await session.scalar(select(User.email).where(User.email == mail.to)))

    monkeypatch.setattr(app.state.mailer, "send", send)
    await sign_up(client, "ada@example.com")
    assert stored == ["ada@example.com"]


async def test_failed_commit_sends_no_mail(
    client: httpx2.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(_session: AsyncSession) -> None:
        raise OSError

    sent: list[Mail] = []
    monkeypatch.setattr(app.state.mailer, "send", sent.append)
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
        request_id = structlog.contextvars.get_contextvars()["request_id"]
        self.lines.append((request_id, record.__dict__))


@pytest.fixture
def lines() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    handler = Lines()
    logging.getLogger(email.__name__).addHandler(handler)
    yield handler.lines
    logging.getLogger(email.__name__).removeHandler(handler)


@pytest.mark.parametrize("accepts", [True, False])
async def test_smtp_server_that_does_not_answer_delays_no_request(
    client: httpx2.AsyncClient,
    app: FastAPI,
    settings: Settings,
    user: dict[str, Any],
    lines: list[tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    accepts: bool,
) -> None:
    monkeypatch.setattr(email, "SHUTDOWN_GRACE_SECONDS", 0.05)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if accepts:
            server.listen()
        values = settings.model_dump() | {"smtp_port": server.getsockname()[1]}
        await app.state.mailer.close()
        app.state.mailer = Mailer(TestSettings(**values), retry_delays=(0,))
        # The test's client waits for background tasks as well.
        async with asyncio.timeout(2):
            response = await client.post(
                f"{AUTH}/password-reset/request",
                json={"email": user["email"]},
                headers={"X-Request-ID": "asked-by-ada"},
            )
        assert response.status_code == 202
        await app.state.mailer.close()
    assert lines[-1][1]["levelno"] == logging.ERROR
    assert lines[-1][1]["reason"] == ("CancelledError" if accepts else "SMTPConnectError")
    assert {request_id for request_id, _ in lines} == {"asked-by-ada"}
    assert "eyJ" not in str(lines)  # how a token begins
