"""Hashing passwords under load: it must not stop the service, and its timing must tell nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from app.core.config import Settings
from app.dependencies.resources import Resources
from tests.support import (
    ME,
    NEW_PASSWORD,
    PASSWORD,
    TOO_LONG,
    USERS,
    PausableArgon2,
    UserClient,
    assert_problem,
    cheap_password_hasher,
    connections_in_use,
    request_token,
    sign_up_body,
    wait_until,
)

HashingRequests = list[Callable[[], Coroutine[Any, Any, httpx2.Response]]]


@pytest.fixture
def hashing_requests(ada: UserClient) -> HashingRequests:
    """One request of each kind that hashes a password. All of them succeed."""
    new_user = sign_up_body("bob@example.com")
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return [
        lambda: request_token(ada, ada.email),
        lambda: ada.post(USERS, json=new_user),
        lambda: ada.post(f"{ME}/password", json=change),
    ]


async def test_requests_queued_for_hashing_hold_no_connection(
    hashing_requests: HashingRequests, resources: Resources
) -> None:
    hasher = resources.password_hasher
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as slots:
        for _ in range(hasher.threads + 1):
            await slots.enter_async_context(hasher.slot())
        for request in hashing_requests:
            tasks.create_task(request())
        await wait_until(lambda: hasher._waiting == len(hashing_requests))
        assert connections_in_use(resources) == 0


@pytest.mark.parametrize("number", range(3))
async def test_request_holds_no_connection_while_it_hashes(
    argon2: PausableArgon2, hashing_requests: HashingRequests, resources: Resources, number: int
) -> None:
    argon2.pause()
    request = asyncio.create_task(hashing_requests[number]())
    await wait_until(lambda: argon2.running == 1)
    assert connections_in_use(resources) == 0
    argon2.resume()
    assert (await request).is_success


async def test_login_gets_503_when_the_queue_is_full(
    client: httpx2.AsyncClient, resources: Resources, settings: Settings
) -> None:
    resources.password_hasher = cheap_password_hasher(settings, max_waiting=0)
    response = await request_token(client, "ada@example.com")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_login_gets_503_when_it_waits_too_long(
    client: httpx2.AsyncClient, resources: Resources, settings: Settings
) -> None:
    resources.password_hasher = hasher = cheap_password_hasher(settings, max_wait=0.01)
    async with AsyncExitStack() as slots:
        for _ in range(hasher.threads + 1):
            await slots.enter_async_context(hasher.slot())
        response = await request_token(client, "ada@example.com")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_event_loop_is_free_while_passwords_are_hashed(
    argon2: PausableArgon2, client: httpx2.AsyncClient, resources: Resources
) -> None:
    argon2.pause()
    attempts = [
        asyncio.create_task(request_token(client, f"{number}@example.com")) for number in range(40)
    ]
    threads = resources.password_hasher.threads
    await wait_until(lambda: argon2.running == threads)
    for _ in range(20):
        assert (await client.get("/livez")).status_code == 200
    argon2.resume()
    statuses = [response.status_code for response in await asyncio.gather(*attempts)]
    assert statuses == [401] * 40
    assert argon2.most_at_once == threads  # each hash takes 19 MiB in production


@pytest.mark.parametrize("username", ["ada@example.com", "nobody@example.com", "not an address"])
async def test_wrong_credentials_always_cost_one_verification(
    argon2: PausableArgon2, client: httpx2.AsyncClient, ada: UserClient, username: str
) -> None:
    argon2.verified.clear()
    response = await request_token(client, username, "not her password")
    assert response.status_code == 401
    (hashed_password,) = argon2.verified
    assert hashed_password.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (USERS, sign_up_body("bob@example.com", TOO_LONG), 422),
        (f"{ME}/password", {"current_password": TOO_LONG, "new_password": NEW_PASSWORD}, 403),
        (f"{ME}/password", {"current_password": PASSWORD, "new_password": TOO_LONG}, 422),
    ],
)
@pytest.mark.usefixtures("only_short_passwords_are_normalised")
async def test_too_long_password_is_rejected_before_it_is_normalised(
    ada: UserClient, path: str, body: dict[str, str], status: int
) -> None:
    assert (await ada.post(path, json=body)).status_code == status


@pytest.mark.parametrize("username", ["ada@example.com", "nobody@example.com"])
@pytest.mark.usefixtures("only_short_passwords_are_normalised")
async def test_login_with_a_too_long_password_fails_before_it_is_normalised(
    ada: UserClient, client: httpx2.AsyncClient, username: str
) -> None:
    assert_problem(await request_token(client, username, TOO_LONG), 401, "wrong-credentials")
