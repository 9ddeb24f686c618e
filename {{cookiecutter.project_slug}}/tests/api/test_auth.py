"""Signing in and out."""

import asyncio
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Literal
from uuid import UUID

import httpx2
import jwt
import pytest
from anyio import CapacityLimiter
from argon2 import PasswordHasher
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import QueuePool, func, select, update
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import passwords, security
from app.core.config import Settings
from app.core.security import hash_password, hmac_sha256, needs_rehash, verify_password
from app.crud.user import lock_user, replace_hash
from app.db.base import utc_now
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models import RefreshToken, User, UserSession
from app.services import auth_service
from tests.service import SECRET_KEY
from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    USERS,
    Mailbox,
    bearer,
    log_in,
    statements,
    token_for,
    wait_until,
    without_request_id,
)


async def is_signed_in(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> bool:
    return (await client.get(ME, headers=bearer(tokens))).status_code == 200


async def can_refresh(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> bool:
    body = {"refresh_token": tokens["refresh_token"]}
    return (await client.post(f"{AUTH}/refresh", json=body)).status_code == 200


async def test_token_has_the_form_of_oauth2(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    tokens = await log_in(client, "ADA@example.com")
    assert tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 15 * 60
    assert await is_signed_in(client, tokens)


async def test_password_does_not_grow_old(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    long_ago = utc_now() - timedelta(days=3650)
    async with database.session.begin() as session:
        await session.execute(update(User).values(created_at=long_ago, updated_at=long_ago))
    await log_in(client, user["email"])


@pytest.mark.parametrize("settings_values", [{}, {"access_token_minutes": 7}])
async def test_access_token_lives_as_long_as_it_says(
    client: httpx2.AsyncClient, user: dict[str, Any], settings: Settings
) -> None:
    tokens = await log_in(client, user["email"])
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == tokens["expires_in"]
    assert tokens["expires_in"] == settings.access_token_minutes * 60


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("ada@example.com\x00", PASSWORD),
        ("ada@example.com", "x" * 10_000),
    ],
)
async def test_wrong_credentials_get_one_answer(
    client: httpx2.AsyncClient, user: dict[str, Any], username: str, password: str
) -> None:
    wrong_password = await client.post(
        f"{AUTH}/token", data={"username": user["email"], "password": "not her password"}
    )
    assert wrong_password.status_code == 401
    assert wrong_password.headers["WWW-Authenticate"] == "Bearer"
    assert wrong_password.json()["type"] == "/problems/wrong-credentials"
    assert wrong_password.json()["detail"] == "The e-mail address or the password is wrong."
    response = await client.post(f"{AUTH}/token", data={"username": username, "password": password})
    assert without_request_id(response) == without_request_id(wrong_password)


TOO_LONG = "e" + "\u0301" * 100_000
"""Normalising this, which takes quadratic time, would stop the whole service."""


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        (
            "POST",
            f"{AUTH}/token",
            {"data": {"username": "ada@example.com", "password": TOO_LONG}},
            401,
        ),
        (
            "POST",
            f"{AUTH}/token",
            {"data": {"username": "nobody@x.test", "password": TOO_LONG}},
            401,
        ),
        ("POST", USERS, {"json": {"email": "bob@example.com", "password": TOO_LONG}}, 422),
        ("POST", f"{AUTH}/password-reset", {"json": {"token": "x", "new_password": TOO_LONG}}, 422),
        (
            "POST",
            f"{ME}/password",
            {"json": {"current_password": TOO_LONG, "new_password": NEW_PASSWORD}},
            403,
        ),
        (
            "POST",
            f"{ME}/password",
            {"json": {"current_password": PASSWORD, "new_password": TOO_LONG}},
            422,
        ),
    ],
)
async def test_long_password_is_not_normalised(
    client: httpx2.AsyncClient,
    user_headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    options: dict[str, Any],
    status: int,
) -> None:
    lengths = []

    def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        lengths.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(security, "unicodedata", SimpleNamespace(normalize=normalize))
    response = await client.request(method, path, headers=user_headers, **options)
    assert response.status_code == status
    assert max(lengths, default=0) <= security.MAX_TYPED_LENGTH


async def test_event_loop_is_free_while_many_hash(
    resources: Resources, client: httpx2.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, lock = threading.Event(), threading.Lock()
    hashing = most = 0

    def verify(_password: str, _hashed_password: str) -> bool:
        nonlocal hashing, most
        with lock:
            hashing += 1
            most = max(most, hashing)
        go_on.wait(timeout=10)
        with lock:
            hashing -= 1
        return False

    monkeypatch.setattr(passwords, "verify_password", verify)
    attempts = [
        asyncio.create_task(
            client.post(f"{AUTH}/token", data={"username": f"{n}@x.test", "password": PASSWORD})
        )
        for n in range(40)
    ]
    threads = resources.password_hasher._executor._max_workers
    try:
        await wait_until(lambda: hashing == threads)
        for _ in range(20):
            assert (await client.get("/livez")).status_code == 200
        assert hashing == threads
    finally:
        go_on.set()
    statuses = [response.status_code for response in await asyncio.gather(*attempts)]
    assert statuses == [401] * 40
    assert most == threads  # each hash takes 19 MiB


async def test_logins_do_not_wait_one_after_another_for_a_database_that_is_away(
    resources: Resources, client: httpx2.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: CapacityLimiter = resources.password_hasher._slots
    asked = []

    async def find_user_by_email(_session: AsyncSession, email: str) -> None:
        asked.append(email)
        await wait_until(
            lambda: turns.statistics().tasks_waiting >= 20 - turns.total_tokens or len(asked) > 2
        )
        raise PoolTimeoutError

    monkeypatch.setattr(auth_service, "find_user_by_email", find_user_by_email)
    responses = await asyncio.gather(
        *(
            client.post(f"{AUTH}/token", data={"username": f"{n}@x.test", "password": PASSWORD})
            for n in range(20)
        )
    )
    assert {response.status_code for response in responses} == {503}
    assert {response.headers["Retry-After"] for response in responses} == {"1"}
    assert len(asked) == turns.total_tokens


async def test_bug_in_a_login_is_no_outage(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_user_by_email(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(auth_service, "find_user_by_email", find_user_by_email)
    form = {"username": "ada@example.com", "password": PASSWORD}
    assert (await client.post(f"{AUTH}/token", data=form)).status_code == 500


@pytest.mark.parametrize("username", ["ada@example.com", "nobody@example.com", "no address"])
async def test_wrong_credentials_take_one_verification(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    username: str,
) -> None:
    verified = []

    def verify(password: str, hashed_password: str) -> bool:
        verified.append(hashed_password)
        return verify_password(password, hashed_password)

    monkeypatch.setattr(passwords, "verify_password", verify)
    await client.post(f"{AUTH}/token", data={"username": username, "password": "not it"})
    (hashed_password,) = verified
    assert hashed_password.startswith("$argon2id$")


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


async def test_inactive_user_is_nobody_however_that_came(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens = await log_in(client, user["email"])
    async with database.session.begin() as session:
        await session.execute(update(User).values(is_active=False))
    assert not await is_signed_in(client, tokens)
    assert not await can_refresh(client, tokens)


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


async def test_refresh_is_use_of_the_login(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens = await log_in(client, user["email"])
    async with database.session.begin() as session:
        await session.execute(
            update(UserSession).values(last_used_at=utc_now() - timedelta(days=9))
        )
    assert await can_refresh(client, tokens)
    async with database.read_session() as session:
        last_used_at = await session.scalar(select(UserSession.last_used_at))
    assert last_used_at is not None
    assert utc_now() - last_used_at < timedelta(minutes=1)


async def test_spent_and_expired_refresh_token_ends_the_login(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens = await log_in(client, user["email"])
    body = {"refresh_token": tokens["refresh_token"]}
    new = (await client.post(f"{AUTH}/refresh", json=body)).json()
    async with database.session.begin() as session:
        spent = update(RefreshToken).where(RefreshToken.used_at.is_not(None))
        await session.execute(spent.values(expires_at=utc_now() - timedelta(days=1)))
    assert not await can_refresh(client, tokens)
    assert not await is_signed_in(client, new)
    assert not await can_refresh(client, new)


async def test_refresh_tokens_are_opaque_and_stored_hashed(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    first, second = [await log_in(client, user["email"]) for _ in range(2)]
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": first["refresh_token"]})
    sent = [first["refresh_token"], second["refresh_token"], response.json()["refresh_token"]]
    assert all(len(token) >= 43 and "." not in token for token in sent)
    async with database.read_session() as session:
        stored = list(await session.scalars(select(RefreshToken).order_by(RefreshToken.id)))
    assert [token.token_hash for token in stored] == [hmac_sha256(SECRET_KEY, x) for x in sent]
    # One family a login.
    assert stored[0].user_session_id == stored[2].user_session_id != stored[1].user_session_id


async def test_spent_refresh_token_ends_the_login(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    spent = {"refresh_token": tokens["refresh_token"]}
    new = (await client.post(f"{AUTH}/refresh", json=spent)).json()
    response = await client.post(f"{AUTH}/refresh", json=spent)
    assert response.status_code == 401
    assert response.json()["type"] == "/problems/invalid-refresh-token"
    # The revocation was stored although the answer is an error.
    async with database.read_session() as session:
        ended = (
            select(func.count()).select_from(UserSession).where(UserSession.revoked_at.is_not(None))
        )
        assert await session.scalar(ended) == 1
    assert not await is_signed_in(client, new)
    assert not await can_refresh(client, new)
    assert await is_signed_in(client, elsewhere)


async def test_one_of_many_refreshes_wins(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    tokens = await log_in(client, user["email"])
    body = {"refresh_token": tokens["refresh_token"]}
    responses = await asyncio.gather(
        *(client.post(f"{AUTH}/refresh", json=body) for _ in range(20))
    )
    winners = [response for response in responses if response.status_code == 200]
    assert [response.status_code for response in responses].count(401) == 19
    # Whoever lost sent a spent token, and nobody can tell why: the login is over for all.
    assert [await is_signed_in(client, response.json()) for response in winners] == [False]


async def test_unknown_refresh_token(client: httpx2.AsyncClient) -> None:
    response = await client.post(f"{AUTH}/refresh", json={"refresh_token": "unknown"})
    assert response.status_code == 401


async def test_expired_refresh_token(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens = await log_in(client, user["email"])
    async with database.session.begin() as session:
        await session.execute(update(RefreshToken).values(expires_at=utc_now()))
    assert not await can_refresh(client, tokens)
    assert await is_signed_in(client, tokens)
    headers = bearer(await log_in(client, user["email"]))
    (listed,) = (await client.get(f"{ME}/sessions", headers=headers)).json()
    assert listed["current"]


async def test_login_stays_while_it_is_used_but_not_for_ever(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    tokens = await log_in(client, user["email"])
    async with database.session.begin() as session:
        user_session = (await session.scalars(select(UserSession))).one()
        user_session.created_at -= timedelta(days=80)
    body = {"refresh_token": tokens["refresh_token"]}
    assert (await client.post(f"{AUTH}/refresh", json=body)).status_code == 200
    async with database.read_session() as session:
        first, second = await session.scalars(
            select(RefreshToken.expires_at).order_by(RefreshToken.id)
        )
    assert timedelta(days=29) < first - utc_now() < timedelta(days=31)
    assert timedelta(days=9) < second - utc_now() < timedelta(days=11)


async def test_new_secret_key_ends_every_login(
    resources: Resources, client: httpx2.AsyncClient, user: dict[str, Any], app: FastAPI
) -> None:
    tokens = await log_in(client, user["email"])
    other = SecretStr("another key for tests that signs nothing")
    resources.settings = resources.settings.model_copy(update={"secret_key": other})
    assert not await is_signed_in(client, tokens)
    assert not await can_refresh(client, tokens)


@dataclass
class World:
    """Who takes part when a login of Ada's is ended."""

    client: httpx2.AsyncClient
    mailbox: Mailbox
    user: dict[str, Any]
    tokens: dict[str, Any]
    superuser: dict[str, str]

    async def ask(self, method: str, path: str, **options: Any) -> None:
        response = await self.client.request(method, path, **options)
        assert response.is_success, response.text

    async def log_out(self) -> None:
        await self.ask("POST", f"{AUTH}/logout", headers=bearer(self.tokens))

    async def log_out_everywhere(self) -> None:
        other = await log_in(self.client, self.user["email"])
        await self.ask("POST", f"{AUTH}/logout-all", headers=bearer(other))

    async def revoke_user_session(self) -> None:
        user_sessions = await self.client.get(f"{ME}/sessions", headers=bearer(self.tokens))
        (user_session_id,) = [user_session["id"] for user_session in user_sessions.json()]
        await self.ask("DELETE", f"{ME}/sessions/{user_session_id}", headers=bearer(self.tokens))

    async def change_password(self) -> None:
        other = await log_in(self.client, self.user["email"])
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        await self.ask("POST", f"{ME}/password", json=body, headers=bearer(other))

    async def reset_password(self) -> None:
        email = self.user["email"]
        token = await token_for(self.client, self.mailbox, email, "password-reset")
        body = {"token": token, "new_password": NEW_PASSWORD}
        await self.ask("POST", f"{AUTH}/password-reset", json=body)

    async def deactivate(self) -> None:
        path = f"{USERS}/{self.user['id']}"
        await self.ask("PATCH", path, json={"is_active": False}, headers=self.superuser)
        # The logins have ended, they don't sleep.
        await self.ask("PATCH", path, json={"is_active": True}, headers=self.superuser)

    async def delete_oneself(self) -> None:
        await self.ask("DELETE", ME, headers=bearer(self.tokens))

    async def delete_user(self) -> None:
        await self.ask("DELETE", f"{USERS}/{self.user['id']}", headers=self.superuser)


@pytest.mark.parametrize(
    "action",
    [
        World.log_out,
        World.log_out_everywhere,
        World.revoke_user_session,
        World.change_password,
        World.reset_password,
        World.deactivate,
        World.delete_oneself,
        World.delete_user,
    ],
)
async def test_what_ends_a_login_ends_its_tokens_at_once(
    client: httpx2.AsyncClient,
    mailbox: Mailbox,
    user: dict[str, Any],
    superuser_headers: dict[str, str],
    action: Callable[[World], Awaitable[None]],
) -> None:
    await mailbox.wait_for(2)
    tokens = await log_in(client, user["email"])
    await action(World(client, mailbox, user, tokens, superuser_headers))
    assert not await is_signed_in(client, tokens)
    assert not await can_refresh(client, tokens)
    assert (await client.get(ME, headers=superuser_headers)).status_code == 200


async def test_logout_ends_this_login_only(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    here, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    await client.post(f"{AUTH}/logout", headers=bearer(here))
    assert not await is_signed_in(client, here)
    assert await is_signed_in(client, elsewhere)


async def test_authentication_is_one_query(
    client: httpx2.AsyncClient, user_headers: dict[str, str], resources: Resources
) -> None:
    with statements(resources.database) as executed:
        assert (await client.get(ME, headers=user_headers)).status_code == 200
    assert len(executed) == 1
    with statements(resources.database) as executed:
        assert (await client.get(f"{ME}/sessions", headers=user_headers)).status_code == 200
    assert len(executed) == 2


async def test_lost_rights_are_lost_at_once(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser_headers: dict[str, str]
) -> None:
    headers = bearer(await log_in(client, user["email"]))
    for is_superuser, status in ((True, 200), (False, 403)):
        await client.patch(
            f"{USERS}/{user['id']}", json={"is_superuser": is_superuser}, headers=superuser_headers
        )
        assert (await client.get(USERS, headers=headers)).status_code == status


async def test_logins_are_listed_and_ended_one_by_one(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    client.headers["User-Agent"] = "old phone " + "x" * 400
    old = await log_in(client, user["email"])
    client.headers["User-Agent"] = "laptop"
    current = await log_in(client, user["email"])
    del client.headers["User-Agent"]

    laptop, phone = (await client.get(f"{ME}/sessions", headers=bearer(current))).json()
    assert laptop["current"]
    assert not phone["current"]
    assert laptop["user_agent"] == "laptop"
    assert phone["user_agent"] == ("old phone " + "x" * 400)[:400]
    assert laptop["ip_address"] == "127.0.0.1"
    assert laptop.keys() == phone.keys() == {
        "id", "created_at", "last_used_at", "user_agent", "ip_address", "current"
    }  # fmt: skip

    path = f"{ME}/sessions/{phone['id']}"
    assert (await client.delete(path, headers=bearer(current))).status_code == 204
    assert not await is_signed_in(client, old)
    assert await is_signed_in(client, current)
    assert (await client.delete(path, headers=bearer(current))).status_code == 404


async def test_logins_of_others_are_out_of_reach(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser_headers: dict[str, str]
) -> None:
    tokens = await log_in(client, user["email"])
    (user_session,) = (await client.get(f"{ME}/sessions", headers=bearer(tokens))).json()
    response = await client.delete(f"{ME}/sessions/{user_session['id']}", headers=superuser_headers)
    assert response.status_code == 404
    assert await is_signed_in(client, tokens)


async def test_changed_password_ends_every_other_login(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    here, elsewhere = [await log_in(client, user["email"]) for _ in range(2)]
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    response = await client.post(f"{ME}/password", json=body, headers=bearer(here))
    assert response.status_code == 204
    assert await is_signed_in(client, here)
    assert not await is_signed_in(client, elsewhere)
    await log_in(client, user["email"], NEW_PASSWORD)


async def test_password_change_of_an_account_that_goes_meanwhile(
    client: httpx2.AsyncClient, user_headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lock_user(*_: object) -> None:
        return None

    monkeypatch.setattr(auth_service, "lock_user", lock_user)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    response = await client.post(f"{ME}/password", json=body, headers=user_headers)
    assert response.status_code == 403


async def test_one_of_many_password_changes_wins(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    user_sessions = [await log_in(client, user["email"]) for _ in range(5)]
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    responses = await asyncio.gather(
        *(
            client.post(f"{ME}/password", json=body, headers=bearer(user_session))
            for user_session in user_sessions
        )
    )
    # The slower ones meet either the new password or the end of their login.
    assert [response.status_code for response in responses].count(204) == 1
    assert {response.status_code for response in responses} <= {204, 401, 403}


async def test_old_password_opens_no_login_while_it_is_changed(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    async with database.session.begin() as session:
        account = (await session.scalars(select(User))).one()
        account.hashed_password = hash_password(NEW_PASSWORD)
        await session.flush()
        form = {"username": user["email"], "password": PASSWORD}
        attempt = asyncio.create_task(client.post(f"{AUTH}/token", data=form))
        await asyncio.sleep(0.05)
    assert (await attempt).status_code == 401


@pytest.mark.parametrize(
    ("current", "new", "status"),
    [
        ("not her password", NEW_PASSWORD, 403),
        (PASSWORD, "short", 422),
        (PASSWORD, "password1234", 422),
        (PASSWORD, "my ada@example.com", 422),
    ],
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


async def test_who_waits_for_hashing_holds_no_connection(
    resources: Resources,
    app: FastAPI,
    client: httpx2.AsyncClient,
    user_headers: dict[str, str],
    mailbox: Mailbox,
) -> None:
    account = {"email": "ada@example.com", "password": PASSWORD}
    token = await token_for(client, mailbox, account["email"], "password-reset")
    form = {"username": account["email"], "password": PASSWORD}
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    reset = {"token": token, "new_password": NEW_PASSWORD}
    turns: CapacityLimiter = resources.password_hasher._slots
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as others:
        for _ in range(int(turns.total_tokens)):
            await others.enter_async_context(resources.password_hasher.slot())
        for request in (
            client.post(f"{AUTH}/token", data=form),
            client.post(f"{ME}/password", json=change, headers=user_headers),
            client.post(f"{AUTH}/password-reset", json=reset),
            client.post(USERS, json=account | {"email": "bob@example.com"}),
        ):
            tasks.create_task(request)
        await wait_until(lambda: turns.statistics().tasks_waiting == 4)
        pool = resources.database.engine.sync_engine.pool
        assert isinstance(pool, QueuePool)
        assert pool.checkedout() == 0


async def test_password_is_hashed_again_when_parameters_rise(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with database.session.begin() as session:
        await session.execute(update(User).values(hashed_password=weak))
    async with database.read_session() as session:
        security_stamp = await session.scalar(select(User.security_stamp))
    await log_in(client, user["email"])
    async with database.read_session() as session:
        hashed = await session.scalar(select(User.hashed_password))
        # The password is the same: mails that are on their way stay good.
        assert await session.scalar(select(User.security_stamp)) == security_stamp
    assert hashed is not None
    assert hashed != weak
    assert not needs_rehash(hashed)
    assert verify_password(PASSWORD, hashed)


@pytest.mark.parametrize("path", [f"{AUTH}/token", f"{ME}/password"])
async def test_right_password_is_right_while_another_login_hashes_it_again(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    user_headers: dict[str, str],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    async def lock_later(session: AsyncSession, user_id: UUID) -> User | None:
        async with database.session.begin() as other:
            await replace_hash(other, user_id, hash_password(PASSWORD))
        return await lock_user(session, user_id)

    monkeypatch.setattr(auth_service, "lock_user", lock_later)
    if path == f"{ME}/password":
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        response = await client.post(path, json=body, headers=user_headers)
        assert response.status_code == 204
    else:
        await log_in(client, user["email"])


async def test_many_logins_hash_a_password_again(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with database.session.begin() as session:
        await session.execute(update(User).values(hashed_password=weak))
    form = {"username": user["email"], "password": PASSWORD}
    responses = await asyncio.gather(*(client.post(f"{AUTH}/token", data=form) for _ in range(10)))
    assert {response.status_code for response in responses} == {200}
