"""Proofs that travel by mail."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.db.session import Database
from app.dependencies.resources import Resources
from app.models import User
from app.services import account_service
from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    USERS,
    Mailbox,
    bearer,
    log_in,
    token_for,
    token_in,
    without_request_id,
)


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
    token = await token_for(client, mailbox, user["email"], "password-reset")
    body = {"token": token, "new_password": NEW_PASSWORD}
    assert (await client.post(f"{AUTH}/password-reset", json=body)).status_code == 204
    assert (await client.get(ME, headers=bearer(tokens))).status_code == 401
    await log_in(client, user["email"], NEW_PASSWORD)
    response = await client.post(
        f"{AUTH}/token", data={"username": user["email"], "password": PASSWORD}
    )
    assert response.status_code == 401
    assert (await client.post(f"{AUTH}/password-reset", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("password", "detail"),
    [
        ("my ada@example.com", "must not contain the e-mail address"),
        ("password1234", "is too common"),
    ],
)
async def test_reset_refuses_a_guessable_password(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    mailbox: Mailbox,
    password: str,
    detail: str,
) -> None:
    token = await token_for(client, mailbox, user["email"], "password-reset")
    response = await client.post(
        f"{AUTH}/password-reset", json={"token": token, "new_password": password}
    )
    assert response.status_code == 422
    assert response.json()["errors"] == [{"detail": detail, "pointer": "/new_password"}]


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
    monkeypatch.setattr(account_service, "VERIFICATION_LIFETIME", timedelta(minutes=-1))
    monkeypatch.setattr(account_service, "RESET_LIFETIME", timedelta(minutes=-1))
    token = await token_for(client, mailbox, user["email"], path)
    response = await client.post(f"{AUTH}/{path}", json=body_for(path, token))
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-token"


@pytest.mark.parametrize(
    ("path", "hours", "text"), [("verify-email", 48, "48 hours"), ("password-reset", 1, "1 hour")]
)
async def test_mail_tells_how_long_its_token_lives(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    mailbox: Mailbox,
    path: str,
    hours: int,
    text: str,
) -> None:
    token = await token_for(client, mailbox, user["email"], path)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == hours * 3600
    for kind in ("plain", "html"):
        body = mailbox.messages[-1].get_body((kind,))
        assert body is not None
        assert re.search(rf"\b{text}\b", body.get_content())


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
    token = await token_for(client, mailbox, user["email"], path)
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
    token = await token_for(client, mailbox, user["email"], path)
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
    token = await token_for(client, mailbox, user["email"], path)
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
    body = body_for(path, await token_for(client, mailbox, user["email"], path))
    responses = await asyncio.gather(*(client.post(f"{AUTH}/{path}", json=body) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [204] + [422] * 9


async def test_used_verification_stays_used(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    superuser_headers: dict[str, str],
    mailbox: Mailbox,
) -> None:
    token = {"token": await token_for(client, mailbox, user["email"], "verify-email")}
    assert (await client.post(f"{AUTH}/verify-email", json=token)).status_code == 204
    path = f"{USERS}/{user['id']}"
    await client.patch(path, json={"is_verified": False}, headers=superuser_headers)
    assert (await client.post(f"{AUTH}/verify-email", json=token)).status_code == 422


@BOTH
async def test_unknown_address_gets_the_same_answer_and_no_mail(
    resources: Resources,
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    mailbox: Mailbox,
    app: FastAPI,
    path: str,
) -> None:
    answers = []
    for address in (user["email"], "nobody@example.com"):
        response = await client.post(f"{AUTH}/{path}/request", json={"email": address})
        answers.append(without_request_id(response))
    known, unknown = answers
    assert known == unknown
    await resources.mailer.close()
    assert {message["To"] for message in mailbox.messages} == {"ada@example.com"}
