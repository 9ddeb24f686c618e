"""Users change their own password."""

import asyncio

import pytest
from sqlalchemy import delete

from app.db.session import Database
from app.models.user import User
from tests.support import (
    ME,
    NEW_PASSWORD,
    PASSWORD,
    PausableArgon2,
    UserClient,
    assert_invalid,
    assert_problem,
    request_token,
    wait_until,
)

CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}


async def test_changed_password_ends_every_other_session(
    ada: UserClient, ada_elsewhere: UserClient
) -> None:
    assert (await ada.post(f"{ME}/password", json=CHANGE)).status_code == 204
    assert await ada.is_signed_in()
    assert not await ada_elsewhere.is_signed_in()
    assert (await request_token(ada, ada.email, PASSWORD)).status_code == 401
    assert (await request_token(ada, ada.email, NEW_PASSWORD)).status_code == 200


async def test_wrong_current_password_changes_nothing(ada: UserClient) -> None:
    body = {"current_password": "not her password", "new_password": NEW_PASSWORD}
    assert_problem(await ada.post(f"{ME}/password", json=body), 403, "wrong-password")
    await ada.sign_in(PASSWORD)


@pytest.mark.parametrize("new_password", ["short", "my ada@example.com"])
async def test_rejected_new_password_changes_nothing(ada: UserClient, new_password: str) -> None:
    body = {"current_password": PASSWORD, "new_password": new_password}
    assert_invalid(await ada.post(f"{ME}/password", json=body), "/new_password")
    await ada.sign_in(PASSWORD)


async def test_password_of_a_user_deleted_during_the_change_is_wrong(
    argon2: PausableArgon2, ada: UserClient, database: Database
) -> None:
    argon2.pause()
    request = asyncio.create_task(ada.post(f"{ME}/password", json=CHANGE))
    await wait_until(lambda: argon2.running == 1)
    async with database.session.begin() as session:
        await session.execute(delete(User))
    argon2.resume()
    assert_problem(await request, 403, "wrong-password")


async def test_change_does_not_undo_a_reset_that_comes_in_between(
    argon2: PausableArgon2, ada: UserClient, database: Database
) -> None:
    by_reset = argon2.hash("the password of the reset")
    argon2.pause()
    request = asyncio.create_task(ada.post(f"{ME}/password", json=CHANGE))
    await wait_until(lambda: argon2.running == 1)
    async with database.session.begin() as session:
        (await session.get_one(User, ada.user_id)).hashed_password = by_reset
    argon2.resume()
    assert_problem(await request, 403, "wrong-password")
    await ada.sign_in("the password of the reset")


async def test_one_of_many_concurrent_changes_succeeds(ada: UserClient) -> None:
    responses = await asyncio.gather(*(ada.post(f"{ME}/password", json=CHANGE) for _ in range(5)))
    assert sorted(response.status_code for response in responses) == [204] + [403] * 4


async def test_old_password_opens_no_session_during_the_change(
    argon2: PausableArgon2, ada: UserClient, database: Database
) -> None:
    async with database.session.begin() as session:
        user = await session.get_one(User, ada.user_id)
        user.hashed_password = argon2.hash(NEW_PASSWORD)
        await session.flush()
        login = asyncio.create_task(request_token(ada, ada.email, PASSWORD))
        await wait_until(lambda: bool(argon2.verified))
        await asyncio.sleep(0.05)  # the password is checked: the login waits for the user's row
    assert_problem(await login, 401, "wrong-credentials")
