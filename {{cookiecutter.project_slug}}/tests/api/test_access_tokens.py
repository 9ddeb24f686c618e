"""Access tokens: which ones are accepted, and what they cost."""

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user import User
from tests.support import ME, USERS, UserClient, assert_problem, statements


@pytest.mark.parametrize("token", ["", "x", "Bearer", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_forged_access_token_is_rejected(client: httpx2.AsyncClient, token: str) -> None:
    response = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert_problem(response, 401, "not-authenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_new_secret_key_invalidates_every_token(
    ada: UserClient, resources: Resources
) -> None:
    other = SecretStr("another key for tests that signs nothing")
    resources.settings = resources.settings.model_copy(update={"secret_key": other})
    assert not await ada.is_signed_in()
    assert not await ada.can_refresh()


async def test_user_deactivated_in_the_database_loses_access(
    ada: UserClient, database: Database
) -> None:
    async with database.session.begin() as session:
        await session.execute(update(User).values(is_active=False))
    assert not await ada.is_signed_in()
    assert not await ada.can_refresh()


async def test_granted_and_withdrawn_rights_take_effect_at_once(
    ada: UserClient, root: UserClient
) -> None:
    for is_superuser, status in ((True, 200), (False, 403)):
        response = await root.patch(f"{USERS}/{ada.user_id}", json={"is_superuser": is_superuser})
        assert response.status_code == 200
        assert (await ada.get(USERS)).status_code == status


async def test_authentication_takes_one_query(ada: UserClient, resources: Resources) -> None:
    with statements(resources.database) as executed:
        assert await ada.is_signed_in()
    assert len(executed) == 1
