"""Signing in and out."""

import asyncio
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from app.core.security import needs_rehash, verify_password
from app.db.base import utc_now
from app.db.session import Database
from app.models import RefreshToken, User
from tests.support import PASSWORD, bearer, log_in

AUTH = "/api/v1/auth"
ME = "/api/v1/users/me"


async def is_signed_in(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> bool:
    return (await client.get(ME, headers=bearer(tokens))).status_code == 200


async def test_token_has_the_form_of_oauth2(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    tokens = await log_in(client, "ADA@example.com")
    assert tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 15 * 60
    assert await is_signed_in(client, tokens)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada@example.com", "not her password"),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("ada@example.com\x00", PASSWORD),
    ],
)
async def test_wrong_credentials_get_one_answer(
    client: httpx2.AsyncClient, user: dict[str, Any], username: str, password: str
) -> None:
    response = await client.post(f"{AUTH}/token", data={"username": username, "password": password})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    body = response.json()
    assert body["type"] == "/problems/wrong-credentials"
    assert body["detail"] == "The e-mail address or the password is wrong."


async def test_inactive_user_cannot_sign_in(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser_headers: dict[str, str]
) -> None:
    tokens = await log_in(client, user["email"])
    response = await client.patch(
        f"/api/v1/users/{user['id']}", json={"is_active": False}, headers=superuser_headers
    )
    assert response.status_code == 200
    assert not await is_signed_in(client, tokens)
    response = await client.post(
        f"{AUTH}/token", data={"username": user["email"], "password": PASSWORD}
    )
    assert response.json()["type"] == "/problems/wrong-credentials"


@pytest.mark.parametrize("token", ["", "x", "Bearer", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_forged_access_token(client: httpx2.AsyncClient, token: str) -> None:
    response = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["type"] == "/problems/not-authenticated"


async def test_refresh_gives_a_new_pair(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    old = await log_in(client, user["email"])
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": old["refresh_token"]})
    assert response.status_code == 200
    new = response.json()
    assert new["refresh_token"] != old["refresh_token"]
    assert await is_signed_in(client, new)


async def test_spent_refresh_token_ends_the_login(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    tokens, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    spent = {"refresh_token": tokens["refresh_token"]}
    new = (await client.post(f"{AUTH}/refresh", json=spent)).json()
    response = await client.post(f"{AUTH}/refresh", json=spent)
    assert response.status_code == 401
    assert response.json()["type"] == "/problems/invalid-refresh-token"
    # The revocation was stored although the answer is an error.
    assert not await is_signed_in(client, new)
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": new["refresh_token"]})
    assert response.status_code == 401
    assert await is_signed_in(client, elsewhere)


async def test_one_of_many_refreshes_wins(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    tokens = await log_in(client, user["email"])
    body = {"refresh_token": tokens["refresh_token"]}
    responses = await asyncio.gather(*(client.post(f"{AUTH}/refresh", json=body) for _ in range(5)))
    assert sorted(response.status_code for response in responses) == [200, 401, 401, 401, 401]


async def test_unknown_refresh_token(client: httpx2.AsyncClient) -> None:
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": "unknown"})
    assert response.status_code == 401


async def test_expired_refresh_token(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens = await log_in(client, user["email"])
    async with database.session.begin() as session:
        await session.execute(update(RefreshToken).values(expires_at=utc_now()))
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert response.status_code == 401
    assert await is_signed_in(client, tokens)


async def test_logout_ends_this_login_only(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    here, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    response = await client.post(f"{AUTH}/logout", headers=bearer(here))
    assert response.status_code == 204
    assert not await is_signed_in(client, here)
    assert await is_signed_in(client, elsewhere)
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": here["refresh_token"]})
    assert response.status_code == 401


async def test_logout_all_ends_every_login(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    here, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    response = await client.post(f"{AUTH}/logout-all", headers=bearer(here))
    assert response.status_code == 204
    assert not await is_signed_in(client, here)
    assert not await is_signed_in(client, elsewhere)


async def test_logins_are_listed_and_ended_one_by_one(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    client.headers["User-Agent"] = "old phone " + "x" * 400
    old = await log_in(client, user["email"])
    client.headers["User-Agent"] = "laptop"
    current = await log_in(client, user["email"])
    del client.headers["User-Agent"]

    laptop, phone = (await client.get(f"{ME}/logins", headers=bearer(current))).json()
    assert laptop["current"]
    assert not phone["current"]
    assert laptop["user_agent"] == "laptop"
    assert phone["user_agent"] == ("old phone " + "x" * 400)[:400]
    assert laptop["ip_address"] == "127.0.0.1"
    assert laptop.keys() == phone.keys() == {
        "id", "created_at", "last_used_at", "user_agent", "ip_address", "current"
    }  # fmt: skip

    path = f"{ME}/logins/{phone['id']}"
    assert (await client.delete(path, headers=bearer(current))).status_code == 204
    assert not await is_signed_in(client, old)
    assert await is_signed_in(client, current)
    assert (await client.delete(path, headers=bearer(current))).status_code == 404


async def test_logins_of_others_are_out_of_reach(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser_headers: dict[str, str]
) -> None:
    tokens = await log_in(client, user["email"])
    (login,) = (await client.get(f"{ME}/logins", headers=bearer(tokens))).json()
    response = await client.delete(f"{ME}/logins/{login['id']}", headers=superuser_headers)
    assert response.status_code == 404
    assert await is_signed_in(client, tokens)


async def test_changed_password_ends_every_other_login(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    here, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    new = "another long passphrase"
    body = {"current_password": PASSWORD, "new_password": new}
    response = await client.post(f"{ME}/password", json=body, headers=bearer(here))
    assert response.status_code == 204
    assert await is_signed_in(client, here)
    assert not await is_signed_in(client, elsewhere)
    await log_in(client, user["email"], new)


@pytest.mark.parametrize(
    ("current", "new", "status"),
    [("not her password", "another long passphrase", 403), (PASSWORD, "short", 422)],
)
async def test_refused_password_change(
    client: httpx2.AsyncClient, user: dict[str, Any], current: str, new: str, status: int
) -> None:
    tokens = await log_in(client, user["email"])
    response = await client.post(
        f"{ME}/password",
        json={"current_password": current, "new_password": new},
        headers=bearer(tokens),
    )
    assert response.status_code == status
    await log_in(client, user["email"])


async def test_password_is_hashed_again_when_parameters_rise(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with database.session.begin() as session:
        await session.execute(update(User).values(hashed_password=weak))
    await log_in(client, user["email"])
    async with database.read_session() as session:
        hashed = await session.scalar(select(User.hashed_password))
    assert hashed is not None
    assert hashed != weak
    assert not needs_rehash(hashed)
    assert verify_password(PASSWORD, hashed)
