"""Superusers manage the accounts of others."""

from collections.abc import AsyncIterator

import httpx2

from tests.support import ME, USERS, UserClient, assert_problem


async def requests_for(client: UserClient, path: str) -> AsyncIterator[httpx2.Response]:
    yield await client.get(path)
    yield await client.patch(path, json={})
    yield await client.delete(path)


async def test_users_have_no_access_to_other_accounts(ada: UserClient, root: UserClient) -> None:
    assert_problem(await ada.get(USERS), 403, "forbidden")
    async for response in requests_for(ada, f"{USERS}/{root.user_id}"):
        assert_problem(response, 403, "forbidden")


async def test_superuser_reads_changes_and_deletes_a_user(
    ada: UserClient, root: UserClient
) -> None:
    path = f"{USERS}/{ada.user_id}"
    assert (await root.get(path)).json() == ada.user
    response = await root.patch(path, json={"is_verified": True})
    assert response.status_code == 200
    assert response.json()["is_verified"] is True
    assert (await ada.get(ME)).json()["is_verified"] is True
    assert (await root.delete(path)).status_code == 204
    async for response in requests_for(root, path):
        assert_problem(response, 404, "not-found")


async def test_last_superuser_cannot_be_demoted_deactivated_or_deleted(root: UserClient) -> None:
    before = (await root.get(ME)).json()
    path = f"{USERS}/{root.user_id}"
    for response in (
        await root.patch(path, json={"is_superuser": False}),
        await root.patch(path, json={"is_active": False}),
        await root.delete(path),
        await root.delete(ME),
    ):
        assert_problem(response, 409, "last-superuser")
    assert (await root.get(ME)).json() == before


async def test_superuser_can_be_demoted_while_another_one_is_left(
    ada: UserClient, root: UserClient
) -> None:
    for is_superuser in (True, False):
        response = await root.patch(f"{USERS}/{ada.user_id}", json={"is_superuser": is_superuser})
        assert response.status_code == 200
