"""Each kind of token is rejected wherever another kind is expected."""

from itertools import permutations

import httpx2
import pytest

from tests.mailbox import Mailbox, token_for
from tests.support import AUTH, ME, NEW_PASSWORD, UserClient, request_refresh

PROBLEMS = {
    "access": "/problems/not-authenticated",
    "refresh": "/problems/invalid-refresh-token",
    "verify-email": "/problems/invalid-token",
    "password-reset": "/problems/invalid-token",
}


async def use(client: httpx2.AsyncClient, kind: str, token: str) -> httpx2.Response:
    """Send *token* where a token of this kind is expected."""
    if kind == "access":
        return await client.get(ME, headers={"Authorization": f"Bearer {token}"})
    if kind == "refresh":
        return await request_refresh(client, token)
    body = {"token": token}
    if kind == "password-reset":
        body["new_password"] = NEW_PASSWORD
    return await client.post(f"{AUTH}/{kind}", json=body)


async def test_token_works_for_its_own_kind_only(
    client: httpx2.AsyncClient, ada: UserClient, mailbox: Mailbox
) -> None:
    tokens = {
        "access": ada.tokens["access_token"],
        "refresh": ada.tokens["refresh_token"],
        "verify-email": await token_for(client, mailbox, ada.email, "verify-email"),
        "password-reset": await token_for(client, mailbox, ada.email, "password-reset"),
    }
    assert tokens.keys() == PROBLEMS.keys()
    for kind, expected in permutations(tokens, 2):
        response = await use(client, expected, tokens[kind])
        assert response.json()["type"] == PROBLEMS[expected], f"{kind} token as {expected} token"
    # None was rejected for another reason: each works for its own purpose. The reset comes last
    # because it ends the session.
    for kind, token in tokens.items():
        assert (await use(client, kind, token)).is_success, kind


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
@pytest.mark.parametrize("kind", PROBLEMS)
async def test_forged_token_is_rejected(client: httpx2.AsyncClient, kind: str, token: str) -> None:
    assert (await use(client, kind, token)).json()["type"] == PROBLEMS[kind]
