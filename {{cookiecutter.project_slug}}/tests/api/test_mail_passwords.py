"""Passwords that are set with the token of a mail: rules and hashing."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.dependencies.resources import Resources
from tests.mailbox import Mailbox, token_for
from tests.support import (
    AUTH,
    NEW_PASSWORD,
    TOO_LONG,
    PausableArgon2,
    UserClient,
    assert_invalid,
    connections_in_use,
    wait_until,
)

RESET = f"{AUTH}/password-reset"


@pytest.fixture
async def token(ada: UserClient, mailbox: Mailbox) -> str:
    return await token_for(ada, mailbox, ada.email, "password-reset")


async def test_reset_queued_for_hashing_holds_no_connection(
    ada: UserClient, token: str, resources: Resources
) -> None:
    hasher = resources.password_hasher
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as slots:
        for _ in range(hasher.threads + 1):
            await slots.enter_async_context(hasher.slot())
        tasks.create_task(ada.post(RESET, json={"token": token, "new_password": NEW_PASSWORD}))
        await wait_until(lambda: hasher._waiting == 1)
        assert connections_in_use(resources) == 0


async def test_reset_holds_no_connection_while_it_hashes(
    ada: UserClient, token: str, argon2: PausableArgon2, resources: Resources
) -> None:
    argon2.pause()
    body = {"token": token, "new_password": NEW_PASSWORD}
    request = asyncio.create_task(ada.post(RESET, json=body))
    await wait_until(lambda: argon2.running == 1)
    assert connections_in_use(resources) == 0
    argon2.resume()
    assert (await request).is_success


@pytest.mark.usefixtures("only_short_passwords_are_normalised")
async def test_too_long_password_is_rejected_before_it_is_normalised(
    ada: UserClient, token: str
) -> None:
    response = await ada.post(RESET, json={"token": token, "new_password": TOO_LONG})
    assert response.status_code == 422


@pytest.mark.parametrize("settings_values", [{"password_min_length": 8}])
async def test_minimum_length_holds_for_resets(ada: UserClient, token: str) -> None:
    response = await ada.post(RESET, json={"token": token, "new_password": "kv7Mz2q"})
    assert_invalid(response, "/new_password")
    response = await ada.post(RESET, json={"token": token, "new_password": "kv7Mz2qR"})
    assert response.status_code == 204
    await ada.sign_in("kv7Mz2qR")
