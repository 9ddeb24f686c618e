"""Different requests about one user at the same time. On PostgreSQL they really interleave."""

import asyncio
from typing import Any

import httpx2
import pytest

from app.services import user_service
from tests.support import AUTH, ME, USERS, Mailbox, bearer, log_in, token_in


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
