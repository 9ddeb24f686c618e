"""Different requests about one user at the same time. On PostgreSQL they really interleave."""

import asyncio

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select, update

from app.crud.user import lock_active_superusers
from app.db.session import Database
from app.models.user import User
from tests.support import AUTH, ME, USERS, UserClient, assert_problem, client_of, request_refresh

# After this time, a request has been authenticated and waits for a lock that the test holds.
WAITS_SECONDS = 0.1


async def test_concurrent_changes_and_deletions_of_a_user_end_with_its_deletion(
    ada: UserClient, root: UserClient
) -> None:
    path = f"{USERS}/{ada.user_id}"
    responses = await asyncio.gather(
        ada.delete(ME),
        root.delete(path),
        ada.patch(ME, json={"full_name": "Ada"}),
        root.patch(path, json={"is_verified": True}),
    )
    assert {response.status_code for response in responses} <= {200, 204, 401, 404}
    assert_problem(await root.get(path), 404, "not-found")


async def test_changes_of_a_user_deleted_in_the_meantime_fail(
    ada: UserClient, root: UserClient, database: Database
) -> None:
    path = f"{USERS}/{ada.user_id}"
    async with database.session.begin() as session:
        await session.execute(delete(User).where(User.id == ada.user_id))
        own_change = asyncio.create_task(ada.patch(ME, json={"full_name": "Ada"}))
        change_by_root = asyncio.create_task(root.patch(path, json={"is_verified": True}))
        deletion_by_root = asyncio.create_task(root.delete(path))
        await asyncio.sleep(WAITS_SECONDS)
    assert_problem(await own_change, 401, "not-authenticated")
    assert_problem(await change_by_root, 404, "not-found")
    assert_problem(await deletion_by_root, 404, "not-found")


async def test_concurrent_logouts_all_end_the_session(ada: UserClient) -> None:
    responses = await asyncio.gather(*(ada.post(f"{AUTH}/logout") for _ in range(5)))
    assert {response.status_code for response in responses} <= {204, 401}
    assert not await ada.is_signed_in()


async def test_two_superusers_cannot_demote_each_other(
    ada: UserClient, root: UserClient, database: Database
) -> None:
    demotion = {"is_superuser": False}
    for _ in range(3):
        async with database.session.begin() as session:
            await session.execute(update(User).values(is_superuser=True))
        async with database.session.begin() as session:
            await lock_active_superusers(session)
            requests = [
                asyncio.create_task(root.patch(f"{USERS}/{ada.user_id}", json=demotion)),
                asyncio.create_task(ada.patch(f"{USERS}/{root.user_id}", json=demotion)),
            ]
            await asyncio.sleep(WAITS_SECONDS)
        statuses = sorted([(await request).status_code for request in requests])
        # The slower one meets the rule of the last superuser. It may also find that it has lost
        # its own rights, if it was not even authenticated before.
        assert statuses in ([200, 409], [200, 403])
        async with database.session() as reader:
            superusers = select(func.count()).where(User.is_superuser, User.is_active)
            assert await reader.scalar(superusers) == 1


@pytest.mark.parametrize("settings_values", [{"rate_limit_enabled": False}])
async def test_user_can_be_deleted_while_their_sessions_are_refreshed(
    app: FastAPI, root: UserClient
) -> None:
    for number in range(20):
        async with client_of(app) as user:
            await user.sign_up(f"user{number}@example.com")
            refresh_tokens = []
            for _ in range(4):
                await user.sign_in()
                refresh_tokens.append(user.tokens["refresh_token"])
            deletion, *refreshes = await asyncio.gather(
                root.delete(f"{USERS}/{user.user_id}"),
                *(request_refresh(user, token) for token in refresh_tokens),
            )
        assert deletion.status_code == 204
        assert {response.status_code for response in refreshes} <= {200, 401}
