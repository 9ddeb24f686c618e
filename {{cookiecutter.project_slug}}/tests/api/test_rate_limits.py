import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from limits import RateLimitItemPerMinute
from sqlalchemy import update

from app.db.session import Database
from app.models import User
from tests.support import PASSWORD, Mailbox, bearer, log_in, sign_up

TOKEN = "/api/v1/auth/token"


@pytest.fixture
def few_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    few = RateLimitItemPerMinute(5, 1, "address")
    monkeypatch.setattr("app.dependencies.client.PER_ADDRESS", few)


def client_from(app: FastAPI, address: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, client=(address, 50000))
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


async def fail(client: httpx2.AsyncClient, email: str, **headers: str) -> int:
    form = {"username": email, "password": "wrong"}
    response = await client.post(TOKEN, data=form, headers=headers)
    if response.status_code == 429:
        assert 1 <= int(response.headers["Retry-After"]) <= 600
        assert response.json()["type"] == "/problems/too-many-attempts"
    return response.status_code


async def test_an_account_is_guarded_from_many_addresses(
    app: FastAPI, user: dict[str, Any]
) -> None:
    statuses = []
    for number in range(12):
        async with client_from(app, f"192.0.2.{number}") as client:
            statuses.append(
                await fail(client, user["email"].upper() if number % 2 else user["email"])
            )
    assert statuses == [401] * 10 + [429] * 2


async def test_unknown_account_is_answered_alike(client: httpx2.AsyncClient) -> None:
    statuses = [await fail(client, "nobody@example.com") for _ in range(11)]
    assert statuses == [401] * 10 + [429]


async def test_success_forgives(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    for _ in range(3):
        for _ in range(5):
            assert await fail(client, user["email"]) == 401
        await log_in(client, user["email"])


async def test_a_login_that_exists_goes_on(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    tokens = await log_in(client, user["email"])
    async with client_from(app, "192.0.2.66") as attacker:
        while await fail(attacker, user["email"]) != 429:
            pass
    me = await client.get("/api/v1/users/me", headers=bearer(tokens))
    assert me.status_code == 200
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = await client.post("/api/v1/auth/refresh", json=body)
    assert refreshed.status_code == 200
    change = {"current_password": PASSWORD, "new_password": "another good passphrase"}
    headers = bearer(refreshed.json())
    response = await client.post("/api/v1/users/me/password", json=change, headers=headers)
    assert response.status_code == 204


async def refresh(client: httpx2.AsyncClient, **headers: str) -> int:
    body = {"refresh_token": "unknown"}
    response = await client.post("/api/v1/auth/refresh", json=body, headers=headers)
    return response.status_code


@pytest.mark.parametrize(
    ("first", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "::1")],
)
@pytest.mark.usefixtures("few_per_address")
async def test_address(app: FastAPI, first: str, other: str) -> None:
    async with client_from(app, first) as client:
        assert [await refresh(client) for _ in range(6)] == [401] * 5 + [429]
    async with client_from(app, other) as client:
        assert await refresh(client) == 401


@pytest.mark.usefixtures("few_per_address")
async def test_an_ipv6_network_counts_as_one(app: FastAPI) -> None:
    statuses = []
    for number in range(6):
        async with client_from(app, f"2001:db8::{number:x}") as client:
            statuses.append(await refresh(client))
    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.7"])
@pytest.mark.usefixtures("few_per_address")
async def test_forwarded_address_is_not_believed(app: FastAPI, peer: str) -> None:
    async with client_from(app, peer) as client:
        statuses = [
            await refresh(client, **{"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(6)
        ]
    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize("settings_values", [{"trusted_proxies": "203.0.113.0/24, 127.0.0.1"}])
@pytest.mark.parametrize("proxy", ["203.0.113.7", "127.0.0.1"])
async def test_forwarded_address_of_a_trusted_proxy(
    app: FastAPI, user: dict[str, Any], proxy: str
) -> None:
    async with client_from(app, proxy) as client:
        for address, seen in {
            "198.51.100.1": "198.51.100.1",
            "6.6.6.6, 198.51.100.2, 203.0.113.9": "198.51.100.2",  # the rightmost that is unknown
            "garbage" * 20: None,
        }.items():
            response = await client.post(
                TOKEN,
                data={"username": user["email"], "password": PASSWORD},
                headers={"X-Forwarded-For": address},
            )
            headers = bearer(response.json())
            user_sessions = await client.get("/api/v1/users/me/sessions", headers=headers)
            assert [x["ip_address"] for x in user_sessions.json() if x["current"]] == [seen]


@pytest.mark.parametrize("settings_values", [{"trusted_proxies": "127.0.0.1"}])
async def test_direct_client_can_say_what_it_wants(app: FastAPI, user: dict[str, Any]) -> None:
    async with client_from(app, "198.51.100.7") as client:
        response = await client.post(
            TOKEN,
            data={"username": user["email"], "password": PASSWORD},
            headers={"X-Forwarded-For": "198.51.100.8"},
        )
        user_sessions = await client.get(
            "/api/v1/users/me/sessions", headers=bearer(response.json())
        )
        assert [user_session["ip_address"] for user_session in user_sessions.json()] == [
            "198.51.100.7"
        ]


async def test_an_account_writes_to_few_addresses(
    client: httpx2.AsyncClient, user_headers: dict[str, str], mailbox: Mailbox
) -> None:
    for number in range(10):
        address = f"stranger{number}@example.com"
        response = await client.patch(
            "/api/v1/users/me", json={"email": address}, headers=user_headers
        )
        assert response.status_code == 200
    await mailbox.wait_for(5)
    await asyncio.sleep(0.2)
    assert len(mailbox.messages) == 5


async def test_mailbox_is_not_flooded(
    client: httpx2.AsyncClient, user: dict[str, Any], mailbox: Mailbox
) -> None:
    for _ in range(10):
        response = await client.post(
            "/api/v1/auth/password-reset/request", json={"email": user["email"]}
        )
        assert response.status_code == 202
    await asyncio.sleep(0.2)
    assert len(await mailbox.wait_for(6)) == 6  # one after the sign-up


@pytest.mark.parametrize("wanted", ["verify-email", "password-reset"])
async def test_strangers_do_not_use_up_what_an_account_will_need(
    client: httpx2.AsyncClient, database: Database, mailbox: Mailbox, wanted: str
) -> None:
    async def ask(path: str, times: int) -> None:
        for _ in range(times):
            body = {"email": "ada@example.com"}
            response = await client.post(f"/api/v1/auth/{path}/request", json=body)
            assert response.status_code == 202

    # While there is no account, and while it has no use for the mail.
    for path in ("verify-email", "password-reset"):
        await ask(path, 6)
    await sign_up(client, "ada@example.com")
    await mailbox.wait_for(1)
    async with database.session.begin() as session:
        await session.execute(update(User).values(is_verified=True, is_active=False))
    for path in ("verify-email", "password-reset"):
        await ask(path, 6)
    is_verified = wanted == "password-reset"
    async with database.session.begin() as session:
        await session.execute(update(User).values(is_verified=is_verified, is_active=True))
    # Mails of the other kind are counted apart.
    await ask("password-reset" if wanted == "verify-email" else "verify-email", 6)
    before = 6 if wanted == "verify-email" else 1
    await mailbox.wait_for(before)
    await ask(wanted, 1)
    assert len(await mailbox.wait_for(before + 1)) == before + 1


async def test_an_account_tries_few_addresses(
    client: httpx2.AsyncClient, user_headers: dict[str, str]
) -> None:
    """The answer tells whether an address is taken."""
    responses = [
        await client.patch(
            "/api/v1/users/me", json={"email": f"ada{number}@example.com"}, headers=user_headers
        )
        for number in range(11)
    ]
    assert [response.status_code for response in responses] == [200] * 10 + [429]
    assert responses[-1].headers["Retry-After"]
    for body in ({"full_name": "Ada"}, {"email": "ada9@example.com"}):
        response = await client.patch("/api/v1/users/me", json=body, headers=user_headers)
        assert response.status_code == 200
    document = (await client.get("/openapi.json")).json()
    assert "429" in document["paths"]["/api/v1/users/me"]["patch"]["responses"]


async def test_right_current_password_forgives(
    client: httpx2.AsyncClient, user_headers: dict[str, str]
) -> None:
    old, new = PASSWORD, "another good passphrase"
    for _ in range(12):
        change = {"current_password": old, "new_password": new}
        response = await client.post("/api/v1/users/me/password", json=change, headers=user_headers)
        assert response.status_code == 204
        old, new = new, old


async def test_refreshes_are_not_counted_by_account(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    tokens = await log_in(client, user["email"])
    for _ in range(15):
        body = {"refresh_token": tokens["refresh_token"]}
        response = await client.post("/api/v1/auth/refresh", json=body)
        assert response.status_code == 200
        tokens = response.json()


async def test_stolen_access_token_does_not_find_out_the_password(
    client: httpx2.AsyncClient, user_headers: dict[str, str]
) -> None:
    change = {"current_password": "wrong", "new_password": "another good passphrase"}
    statuses = [
        (
            await client.post("/api/v1/users/me/password", json=change, headers=user_headers)
        ).status_code
        for _ in range(11)
    ]
    assert statuses == [403] * 10 + [429]


@pytest.mark.parametrize("settings_values", [{"rate_limit_enabled": False}])
async def test_limits_can_be_turned_off(client: httpx2.AsyncClient) -> None:
    assert {await fail(client, "nobody@example.com") for _ in range(12)} == {401}


async def test_every_public_route_is_limited(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs no token can be called by anybody as often as the network allows."""
    none = RateLimitItemPerMinute(0, 1, "address")
    monkeypatch.setattr("app.dependencies.client.PER_ADDRESS", none)
    document = (await client.get("/openapi.json")).json()
    values = {
        "email": "ada@example.com",
        "username": "ada@example.com",
        "password": PASSWORD,
        "new_password": PASSWORD,
        "refresh_token": "token",
        "token": "token",
    }
    tried = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation["security"] or path in {"/livez", "/readyz"}:
                continue
            [(media_type, content)] = operation["requestBody"]["content"].items()
            schema = document["components"]["schemas"][content["schema"]["$ref"].split("/")[-1]]
            body = {name: values[name] for name in values if name in schema["properties"]}
            is_json = media_type == "application/json"
            response = await client.request(
                method, path, json=body if is_json else None, data=None if is_json else body
            )
            assert response.status_code == 429, path
            assert "429" in operation["responses"], path
            tried.add(operation["operationId"])
    assert {"create_user", "create_token", "reset_password"} <= tried
