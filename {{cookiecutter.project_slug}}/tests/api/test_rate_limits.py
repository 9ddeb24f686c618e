"""Limits of attempts, by client address and by account."""

import httpx2
import pytest
from fastapi import FastAPI
from limits import parse

from app.utils.rate_limit import Limit
from tests.api.conftest import Recorder
from tests.support import (
    ME,
    NEW_PASSWORD,
    PASSWORD,
    UserClient,
    assert_problem,
    client_of,
    request_refresh,
    request_token,
)


@pytest.fixture
def five_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit("ip", parse("5 per minute"))
    monkeypatch.setattr("app.dependencies.rate_limit.PER_IP", limit)


async def fail(client: httpx2.AsyncClient, email: str) -> int:
    """Try to sign in with a wrong password and return the status."""
    response = await request_token(client, email, "wrong")
    if response.status_code == 429:
        assert_problem(response, 429, "too-many-attempts")
        assert 1 <= int(response.headers["Retry-After"]) <= 600
    return response.status_code


async def test_account_is_locked_for_logins_from_many_addresses(
    app: FastAPI, ada: UserClient, security_log: Recorder
) -> None:
    statuses = []
    for number in range(12):
        async with client_of(app, f"192.0.2.{number}") as client:
            statuses.append(await fail(client, ada.email.upper() if number % 2 else ada.email))
    assert statuses == [401] * 10 + [429] * 2
    blocked = security_log.take("login-blocked")
    assert (blocked["account_id"], blocked["client"]) == (ada.user["id"], "192.0.2.11")
    limited = security_log.events[-2]
    assert (limited["event"], limited["limit"]) == ("rate-limited", "account")
    assert (await request_token(ada, ada.email)).status_code == 429  # the right password, too


@pytest.mark.parametrize("name", ["nobody@example.com", "nobody"])
async def test_unknown_account_is_locked_like_a_known_one(
    client: httpx2.AsyncClient, security_log: Recorder, name: str
) -> None:
    statuses = [await fail(client, name) for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert "account_id" not in security_log.take("login-blocked")


async def test_successful_login_resets_the_counter(ada: UserClient) -> None:
    for _ in range(3):
        for _ in range(5):
            assert await fail(ada, ada.email) == 401
        await ada.sign_in()


async def test_locked_account_keeps_its_sessions(app: FastAPI, ada: UserClient) -> None:
    async with client_of(app, "192.0.2.66") as attacker:
        while await fail(attacker, ada.email) != 429:
            pass
    assert await ada.is_signed_in()
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert (await ada.post(f"{ME}/password", json=change)).status_code == 204
    assert await ada.can_refresh()


@pytest.mark.parametrize(
    ("first", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "::1")],
)
@pytest.mark.usefixtures("five_per_address")
async def test_address_has_a_limit_of_its_own(app: FastAPI, first: str, other: str) -> None:
    async with client_of(app, first) as client:
        statuses = [(await request_refresh(client, "x")).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    async with client_of(app, other) as client:
        assert (await request_refresh(client, "x")).status_code == 401


@pytest.mark.usefixtures("five_per_address")
async def test_ipv6_network_shares_one_limit(app: FastAPI) -> None:
    statuses = []
    for number in range(6):
        async with client_of(app, f"2001:db8::{number:x}") as client:
            statuses.append((await request_refresh(client, "x")).status_code)
    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.7"])
@pytest.mark.usefixtures("five_per_address")
async def test_forged_forwarded_address_evades_no_limit(app: FastAPI, peer: str) -> None:
    statuses = []
    async with client_of(app, peer) as client:
        for number in range(6):
            client.headers["X-Forwarded-For"] = f"198.51.100.{number}"
            statuses.append((await request_refresh(client, "x")).status_code)
    assert statuses == [401] * 5 + [429]


async def test_refreshes_do_not_count_as_attempts_on_the_account(ada: UserClient) -> None:
    for _ in range(15):
        response = await request_refresh(ada, ada.tokens["refresh_token"])
        assert response.status_code == 200
        ada.tokens = response.json()


async def test_stolen_access_token_allows_few_guesses_of_the_password(ada: UserClient) -> None:
    change = {"current_password": "wrong", "new_password": NEW_PASSWORD}
    statuses = [(await ada.post(f"{ME}/password", json=change)).status_code for _ in range(11)]
    assert statuses == [403] * 10 + [429]


async def test_right_current_password_resets_the_counter(ada: UserClient) -> None:
    old, new = PASSWORD, NEW_PASSWORD
    for _ in range(12):
        change = {"current_password": old, "new_password": new}
        assert (await ada.post(f"{ME}/password", json=change)).status_code == 204
        old, new = new, old


async def test_user_can_try_few_new_addresses(ada: UserClient) -> None:
    """The response reveals whether an address is taken."""
    responses = [
        await ada.patch(ME, json={"email": f"ada{number}@example.com"}) for number in range(11)
    ]
    assert [response.status_code for response in responses] == [200] * 10 + [429]
    assert responses[-1].headers["Retry-After"]
    # Changes that reveal nothing are still possible.
    for body in ({"full_name": "Ada"}, {"email": "ada9@example.com"}):
        assert (await ada.patch(ME, json=body)).status_code == 200


@pytest.mark.parametrize("settings_values", [{"rate_limit_enabled": False}])
async def test_limits_can_be_turned_off(client: httpx2.AsyncClient) -> None:
    assert {await fail(client, "nobody@example.com") for _ in range(12)} == {401}
