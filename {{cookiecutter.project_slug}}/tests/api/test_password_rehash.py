"""A login hashes the password again when the parameters of hashing have been raised."""

import asyncio
from collections.abc import Callable, Coroutine

import argon2
import httpx2
import pytest
from sqlalchemy import select, update

from app.crud.user import replace_password_hash
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user import User
from tests.support import (
    ME,
    NEW_PASSWORD,
    PASSWORD,
    PausableArgon2,
    UserClient,
    request_token,
    wait_until,
)


@pytest.fixture
async def weak_hash(ada: UserClient, database: Database) -> str:
    """The hash of Ada's password, as it was stored with lower parameters."""
    weak_hash = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with database.session.begin() as session:
        await session.execute(update(User).values(hashed_password=weak_hash))
    return weak_hash


async def test_login_replaces_a_weak_hash_and_keeps_the_security_stamp(
    ada: UserClient, database: Database, resources: Resources, weak_hash: str
) -> None:
    async with database.session() as reader:
        before = (await reader.scalars(select(User))).one()
    await ada.sign_in()
    async with database.session() as reader:
        after = (await reader.scalars(select(User))).one()
    assert after.hashed_password != weak_hash
    assert not resources.password_hasher.needs_rehash(after.hashed_password)
    assert await resources.password_hasher.verify(PASSWORD, after.hashed_password)
    # The password is the same, so mails that are on their way stay valid.
    assert after.security_stamp == before.security_stamp


async def test_concurrent_logins_that_rehash_all_succeed(ada: UserClient, weak_hash: str) -> None:
    responses = await asyncio.gather(*(request_token(ada, ada.email) for _ in range(10)))
    assert {response.status_code for response in responses} == {200}


async def log_in(ada: UserClient) -> httpx2.Response:
    return await request_token(ada, ada.email)


async def change_password(ada: UserClient) -> httpx2.Response:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return await ada.post(f"{ME}/password", json=body)


@pytest.mark.parametrize("action", [log_in, change_password])
async def test_right_password_is_accepted_while_another_login_rehashes_it(
    argon2: PausableArgon2,
    ada: UserClient,
    database: Database,
    action: Callable[[UserClient], Coroutine[None, None, httpx2.Response]],
) -> None:
    same_password = argon2.hash(PASSWORD)
    argon2.pause()
    request = asyncio.create_task(action(ada))
    await wait_until(lambda: argon2.running == 1)
    async with database.session.begin() as session:
        await replace_password_hash(session, ada.user_id, same_password)
    argon2.resume()
    assert (await request).is_success
