"""Tokens in mails: they verify an address or reset a password, once."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import update

from app.core.security import Purpose, encode_token
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user import User
from tests.api.conftest import Recorder
from tests.mailbox import Mailbox, token_for, token_in
from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    USERS,
    UserClient,
    assert_problem,
    client_of,
    request_token,
    without_request_id,
)

BOTH_KINDS = pytest.mark.parametrize("path", ["verify-email", "password-reset"])


async def is_verified(user: UserClient) -> bool:
    verified: bool = (await user.get(ME)).json()["is_verified"]
    return verified


async def use(client: httpx2.AsyncClient, path: str, token: str) -> httpx2.Response:
    """Use a token of a mail. *path* is "verify-email" or "password-reset"."""
    body = {"token": token}
    if path == "password-reset":
        body["new_password"] = NEW_PASSWORD
    return await client.post(f"{AUTH}/{path}", json=body)


async def test_link_of_the_sign_up_mail_verifies_the_address_once(
    app: FastAPI, mailbox: Mailbox, security_log: Recorder
) -> None:
    ada = client_of(app)
    await ada.sign_up("ada@example.com")
    await ada.sign_in()
    (mail,) = await mailbox.wait_for(1)
    assert mail["To"] == "ada@example.com"
    html = mail.get_body(("html",))
    assert html is not None
    assert "http://localhost:3000/verify-email?token=" in html.get_content()
    assert not await is_verified(ada)
    assert (await use(ada, "verify-email", token_in(mail))).status_code == 204
    assert security_log.take("email-verified")["account_id"] == ada.user["id"]
    assert await is_verified(ada)
    assert_problem(await use(ada, "verify-email", token_in(mail)), 422, "invalid-token")


async def test_verification_mail_can_be_requested_again(
    client: httpx2.AsyncClient, ada: UserClient, mailbox: Mailbox
) -> None:
    response = await client.post(f"{AUTH}/verify-email/request", json={"email": "ADA@example.com"})
    assert response.status_code == 202
    (mail,) = await mailbox.wait_for(1)
    assert (await use(client, "verify-email", token_in(mail))).status_code == 204
    assert await is_verified(ada)


async def test_new_address_is_verified_only_by_its_own_mail(
    ada: UserClient, mailbox: Mailbox
) -> None:
    old = await token_for(ada, mailbox, ada.email, "verify-email")
    await ada.patch(ME, json={"email": "new@example.com"})
    (new,) = await mailbox.wait_for(1, to="new@example.com")
    assert_problem(await use(ada, "verify-email", old), 422, "invalid-token")
    assert not await is_verified(ada)
    assert (await use(ada, "verify-email", token_in(new))).status_code == 204
    assert await is_verified(ada)


async def test_reset_sets_the_password_once_and_ends_every_session(
    client: httpx2.AsyncClient, ada: UserClient, ada_elsewhere: UserClient, mailbox: Mailbox
) -> None:
    token = await token_for(client, mailbox, ada.email, "password-reset")
    assert (await use(client, "password-reset", token)).status_code == 204
    for session in (ada, ada_elsewhere):
        assert not await session.is_signed_in()
        assert not await session.can_refresh()
    assert (await request_token(client, ada.email, PASSWORD)).status_code == 401
    assert (await request_token(client, ada.email, NEW_PASSWORD)).status_code == 200
    assert_problem(await use(client, "password-reset", token), 422, "invalid-token")


async def test_reset_rejects_a_guessable_password_and_keeps_its_token_valid(
    client: httpx2.AsyncClient, ada: UserClient, mailbox: Mailbox
) -> None:
    token = await token_for(client, mailbox, ada.email, "password-reset")
    body = {"token": token, "new_password": "my ada@example.com"}
    problem = assert_problem(
        await client.post(f"{AUTH}/password-reset", json=body), 422, "validation-error"
    )
    detail = "must not contain the e-mail address"
    assert problem["errors"] == [{"detail": detail, "pointer": "/new_password"}]
    assert (await use(client, "password-reset", token)).status_code == 204


@pytest.mark.parametrize(
    ("path", "purpose"),
    [("verify-email", "verify-email"), ("password-reset", "reset-password")],
)
@pytest.mark.parametrize(("minutes", "status"), [(-1, 422), (1, 204)])
async def test_expired_token_is_rejected(
    ada: UserClient,
    mailbox: Mailbox,
    resources: Resources,
    path: str,
    purpose: Purpose,
    minutes: int,
    status: int,
) -> None:
    token = await token_for(ada, mailbox, ada.email, path)
    claims = jwt.decode(token, options={"verify_signature": False})
    key = resources.settings.secret_key.get_secret_value()
    same_token = encode_token(key, purpose, claims, timedelta(minutes=minutes))
    assert (await use(ada, path, same_token)).status_code == status


@pytest.mark.parametrize("path", ["verify-email", "password-reset"])
@pytest.mark.parametrize(("is_old_key_listed", "status"), [(True, 204), (False, 422)])
async def test_mailed_link_survives_a_new_secret_key(
    ada: UserClient,
    mailbox: Mailbox,
    resources: Resources,
    path: str,
    is_old_key_listed: bool,
    status: int,
) -> None:
    token = await token_for(ada, mailbox, ada.email, path)
    changes = {
        "secret_key": SecretStr("another key for tests that signs nothing"),
        "secret_key_fallbacks": [resources.settings.secret_key] if is_old_key_listed else [],
    }
    resources.settings = resources.settings.model_copy(update=changes)
    assert (await use(ada, path, token)).status_code == status


@pytest.mark.parametrize(
    ("path", "hours", "text"), [("verify-email", 48, "48 hours"), ("password-reset", 1, "1 hour")]
)
async def test_mail_says_how_long_its_token_is_valid(
    ada: UserClient, mailbox: Mailbox, path: str, hours: int, text: str
) -> None:
    token = await token_for(ada, mailbox, ada.email, path)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == hours * 3600
    for kind in ("plain", "html"):
        body = mailbox.messages()[-1].get_body((kind,))
        assert body is not None
        assert re.search(rf"\b{text}\b", body.get_content())


async def change_address_and_back(ada: UserClient) -> None:
    for address in ("new@example.com", ada.email):
        assert (await ada.patch(ME, json={"email": address})).status_code == 200


async def change_password(ada: UserClient) -> None:
    body = {"current_password": PASSWORD, "new_password": PASSWORD}
    assert (await ada.post(f"{ME}/password", json=body)).status_code == 204


@BOTH_KINDS
@pytest.mark.parametrize("change", [change_address_and_back, change_password])
async def test_change_of_address_or_password_invalidates_tokens(
    ada: UserClient, mailbox: Mailbox, path: str, change: Callable[[UserClient], Awaitable[None]]
) -> None:
    token = await token_for(ada, mailbox, ada.email, path)
    await change(ada)
    assert_problem(await use(ada, path, token), 422, "invalid-token")


@BOTH_KINDS
async def test_deactivated_user_cannot_use_a_token(
    ada: UserClient, mailbox: Mailbox, database: Database, path: str
) -> None:
    token = await token_for(ada, mailbox, ada.email, path)
    async with database.session.begin() as session:
        await session.execute(update(User).values(is_active=False))
    assert_problem(await use(ada, path, token), 422, "invalid-token")


@BOTH_KINDS
async def test_other_changes_keep_tokens_valid(
    ada: UserClient, mailbox: Mailbox, path: str
) -> None:
    verification = await token_for(ada, mailbox, ada.email, "verify-email")
    token = await token_for(ada, mailbox, ada.email, path)
    change = {"full_name": "Ada", "email": ada.email}
    assert (await ada.patch(ME, json=change)).status_code == 200
    if path == "password-reset":
        await use(ada, "verify-email", verification)
        assert await is_verified(ada)
    assert (await use(ada, path, token)).status_code == 204


@BOTH_KINDS
async def test_one_of_many_concurrent_uses_succeeds(
    ada: UserClient, mailbox: Mailbox, path: str
) -> None:
    token = await token_for(ada, mailbox, ada.email, path)
    responses = await asyncio.gather(*(use(ada, path, token) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [204] + [422] * 9


async def test_used_token_stays_used_when_a_superuser_withdraws_the_verification(
    ada: UserClient, root: UserClient, mailbox: Mailbox
) -> None:
    token = await token_for(ada, mailbox, ada.email, "verify-email")
    assert (await use(ada, "verify-email", token)).status_code == 204
    await root.patch(f"{USERS}/{ada.user_id}", json={"is_verified": False})
    assert not await is_verified(ada)
    assert_problem(await use(ada, "verify-email", token), 422, "invalid-token")


@BOTH_KINDS
async def test_unknown_address_gets_the_same_answer_and_no_mail(
    ada: UserClient, mailbox: Mailbox, resources: Resources, path: str
) -> None:
    known, unknown = [
        without_request_id(await ada.post(f"{AUTH}/{path}/request", json={"email": address}))
        for address in (ada.email, "nobody@example.com")
    ]
    assert known == unknown
    await resources.mailer.close()
    assert [mail["To"] for mail in mailbox.messages()] == [ada.email]


async def test_address_changed_during_its_verification_is_unverified(
    ada: UserClient, mailbox: Mailbox
) -> None:
    await ada.post(f"{AUTH}/verify-email/request", json={"email": ada.email})
    for number in range(1, 6):
        token = token_in((await mailbox.wait_for(number))[-1])
        email = f"ada{number}@example.com"
        changed, _ = await asyncio.gather(
            ada.patch(ME, json={"email": email}),
            ada.post(f"{AUTH}/verify-email", json={"token": token}),
        )
        assert changed.status_code == 200
        me = (await ada.get(ME)).json()
        assert (me["email"], me["is_verified"]) == (email, False)
