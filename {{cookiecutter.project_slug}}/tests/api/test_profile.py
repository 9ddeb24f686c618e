"""Users read, change and delete their own account."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.db.session import Database
from app.models.user_session import UserSession
from tests.support import ME, UserClient, assert_problem


async def test_user_reads_their_own_account(ada: UserClient) -> None:
    response = await ada.get(ME)
    assert response.status_code == 200
    assert response.json() == ada.user


async def test_user_changes_and_clears_their_name(ada: UserClient) -> None:
    response = await ada.patch(ME, json={"full_name": "Ada"})
    assert response.status_code == 200
    changed = response.json()
    assert changed["updated_at"] > ada.user["updated_at"]
    assert changed == ada.user | {"full_name": "Ada", "updated_at": changed["updated_at"]}
    assert (await ada.get(ME)).json() == changed
    response = await ada.patch(ME, json={"full_name": None})
    assert response.json()["full_name"] is None


async def test_empty_change_changes_nothing(ada: UserClient) -> None:
    response = await ada.patch(ME, json={})
    assert response.status_code == 200
    assert response.json() == ada.user


async def test_address_of_another_user_is_taken(ada: UserClient, root: UserClient) -> None:
    response = await ada.patch(ME, json={"email": "Root@example.com"})
    assert_problem(response, 409, "email-already-registered")
    assert (await ada.get(ME)).json() == ada.user


@pytest.mark.parametrize("body", [{"is_superuser": True}, {"email": None}, {"is_active": True}])
async def test_invalid_change_of_the_own_account_is_rejected(
    ada: UserClient, body: dict[str, Any]
) -> None:
    assert_problem(await ada.patch(ME, json=body), 422, "validation-error")


async def test_user_deletes_their_own_account(ada: UserClient, database: Database) -> None:
    assert (await ada.delete(ME)).status_code == 204
    assert not await ada.is_signed_in()
    async with database.session() as reader:
        assert await reader.scalar(select(func.count()).select_from(UserSession)) == 0
