"""Different requests about one user at the same time. On PostgreSQL they really interleave."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crud.user import lock_active_superusers
from app.db.session import Database
from app.models import User
from app.services import user_service
from tests.support import AUTH, ME, USERS, Mailbox, bearer, log_in, sign_up, token_in


async def test_address_that_changes_while_it_is_verified(
    client: httpx2.AsyncClient, user_headers: dict[str, str], mailbox: Mailbox
) -> None:
    for number in range(1, 6):
        token = token_in((await mailbox.wait_for(number))[-1])
        changed, _ = await asyncio.gather(
            client.patch(ME, json={"email": f"ada{number}@example.com"}, headers=user_headers),
            client.post(f"{AUTH}/verify-email", json={"token": token}),
        )
        assert changed.status_code == 200
        me = (await client.get(ME, headers=user_headers)).json()
        assert me["email"] == f"ada{number}@example.com"
        assert not me["is_verified"]


async def test_user_who_is_deleted_meanwhile(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    user_headers: dict[str, str],
    superuser_headers: dict[str, str],
) -> None:
    path = f"{USERS}/{user['id']}"
    responses = await asyncio.gather(
        client.delete(ME, headers=user_headers),
        client.delete(path, headers=superuser_headers),
        client.patch(ME, json={"full_name": "Ada"}, headers=user_headers),
        client.patch(path, json={"is_verified": True}, headers=superuser_headers),
    )
    assert {response.status_code for response in responses} <= {200, 204, 401, 404}
    assert (await client.get(path, headers=superuser_headers)).status_code == 404


async def test_user_who_goes_before_the_change(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    user_headers: dict[str, str],
    superuser_headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def find_nobody(*_: object) -> None:
        return None

    monkeypatch.setattr(user_service, "lock_user", find_nobody)
    response = await client.patch(ME, json={"full_name": "Ada"}, headers=user_headers)
    assert response.status_code == 401
    path = f"{USERS}/{user['id']}"
    response = await client.patch(path, json={"is_verified": True}, headers=superuser_headers)
    assert response.status_code == 404
    assert (await client.delete(path, headers=superuser_headers)).status_code == 204


async def test_many_logouts(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    headers = bearer(await log_in(client, user["email"]))
    responses = await asyncio.gather(
        *(client.post(f"{AUTH}/logout", headers=headers) for _ in range(5))
    )
    assert {response.status_code for response in responses} <= {204, 401}
    assert (await client.get(ME, headers=headers)).status_code == 401


async def test_two_superusers_cannot_demote_each_other(
    client: httpx2.AsyncClient,
    superuser_headers: dict[str, str],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither by themselves nor through each other: the one that is left is asked last."""
    root = (await client.get(ME, headers=superuser_headers)).json()
    other = await sign_up(client, "other@example.com")
    other_headers = bearer(await log_in(client, other["email"]))

    async def lock_together(session: AsyncSession) -> list[UUID]:
        # On SQLite the second one does not get here before the first one's transaction has ended.
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await both.wait()
        return await lock_active_superusers(session)

    monkeypatch.setattr(user_service, "lock_active_superusers", lock_together)
    for _ in range(12):
        async with database.session.begin() as session:
            await session.execute(update(User).values(is_superuser=True))
        both = asyncio.Barrier(2)
        demotion = {"is_superuser": False}
        responses = await asyncio.gather(
            client.patch(f"{USERS}/{other['id']}", json=demotion, headers=superuser_headers),
            client.patch(f"{USERS}/{root['id']}", json=demotion, headers=other_headers),
        )
        # The slower one meets the rule of the last superuser, or on SQLite its own lost rights.
        first, second = sorted(response.status_code for response in responses)
        assert first == 200
        assert second in {403, 409}
        async with database.read_session() as session:
            superusers = select(func.count()).where(User.is_superuser, User.is_active)
            assert await session.scalar(superusers) == 1


@pytest.mark.parametrize("settings_values", [{"rate_limit_enabled": False}])
async def test_account_that_is_deleted_while_its_logins_are_refreshed(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser_headers: dict[str, str]
) -> None:
    for number in range(20):
        email = f"user{number}@example.com"
        path = f"{USERS}/{(await sign_up(client, email))['id']}"
        user_sessions = [await log_in(client, email) for _ in range(4)]
        refreshes = [
            client.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
            for tokens in user_sessions
        ]
        deletion, *refreshed = await asyncio.gather(
            client.delete(path, headers=superuser_headers), *refreshes
        )
        assert deletion.status_code == 204
        assert {response.status_code for response in refreshed} <= {200, 401}
