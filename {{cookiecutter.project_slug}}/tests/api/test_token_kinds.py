"""Each kind of token is refused wherever another kind is expected, and so is what is no token."""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import httpx2
import pytest

from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    USERS,
    Mailbox,
    bearer,
    log_in,
    token_for,
    token_in,
)


@dataclass
class Use:
    """Requests, each of which takes tokens of one kind."""

    client: httpx2.AsyncClient
    superuser: dict[str, str]

    async def access(self, token: str) -> httpx2.Response:
        return await self.client.get(ME, headers=bearer({"access_token": token}))

    async def refresh(self, token: str) -> httpx2.Response:
        return await self.client.post(f"{AUTH}/refresh", json={"refresh_token": token})

    async def verification(self, token: str) -> httpx2.Response:
        return await self.client.post(f"{AUTH}/verify-email", json={"token": token})

    async def reset(self, token: str) -> httpx2.Response:
        body = {"token": token, "new_password": NEW_PASSWORD}
        return await self.client.post(f"{AUTH}/password-reset", json=body)

    async def cursor(self, token: str) -> httpx2.Response:
        return await self.client.get(USERS, params={"cursor": token}, headers=self.superuser)


REFUSALS = {
    "access": "/problems/not-authenticated",
    "refresh": "/problems/invalid-refresh-token",
    "verification": "/problems/invalid-token",
    "reset": "/problems/invalid-token",
    "cursor": "/problems/invalid-cursor",
}


async def tokens_of_each_kind(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser: dict[str, str], mailbox: Mailbox
) -> dict[str, str]:
    page = (await client.get(f"{USERS}?limit=1", headers=superuser)).json()
    pair = await log_in(client, user["email"])
    (verification,) = await mailbox.wait_for(1, to=user["email"])
    return {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "verification": token_in(verification),
        "reset": await token_for(client, mailbox, user["email"], "password-reset"),
        "cursor": page["next_cursor"],
    }


async def test_every_ordered_pair_of_kinds(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    superuser_headers: dict[str, str],
    mailbox: Mailbox,
) -> None:
    tokens = await tokens_of_each_kind(client, user, superuser_headers, mailbox)
    use = Use(client, superuser_headers)
    answers = {}
    for kind, expected in permutations(tokens, 2):
        response = await getattr(use, expected)(tokens[kind])
        answers[kind, expected] = response.json().get("type")
    assert answers == {
        (kind, expected): REFUSALS[expected] for kind, expected in permutations(tokens, 2)
    }
    # None was refused for another reason: each is good for its own purpose. The reset comes last,
    # as it ends the login.
    for kind in ("cursor", "access", "refresh", "verification", "reset"):
        assert (await getattr(use, kind)(tokens[kind])).is_success, kind


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
@pytest.mark.parametrize("kind", ["access", "refresh", "verification", "reset"])
async def test_forged_token(client: httpx2.AsyncClient, kind: str, token: str) -> None:
    response = await getattr(Use(client, superuser={}), kind)(token)
    assert response.json()["type"] == REFUSALS[kind]
