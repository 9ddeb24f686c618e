"""Proofs that travel by mail."""

from typing import Any

import httpx2
import pytest

from tests.support import PASSWORD, Mailbox, bearer, log_in, sign_up, token_in

AUTH = "/api/v1/auth"
ME = "/api/v1/users/me"
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


@pytest.mark.parametrize("path", ["verify-email/request", "password-reset/request"])
async def test_unknown_address_gets_the_same_answer_and_no_mail(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox, path: str
) -> None:
    known = await client.post(f"{AUTH}/{path}", json={"email": user["email"]})
    unknown = await client.post(f"{AUTH}/{path}", json={"email": "nobody@example.com"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    await sign_up(client, "last@example.com")
    recipients = {message["To"] for message in await mailbox.wait_for(3)}
    assert recipients == {"ada@example.com", "last@example.com"}


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
async def test_forged_token(client: httpx2.AsyncClient, token: str) -> None:
    response = await client.post(f"{AUTH}/verify-email", json={"token": token})
    assert response.status_code == 422
