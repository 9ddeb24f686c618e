"""User sessions, and everything that ends them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2
import pytest

from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    USERS,
    UserClient,
)


@dataclass
class World:
    """Everybody who can end Ada's session."""

    ada: UserClient
    ada_elsewhere: UserClient
    root: UserClient

    async def log_out(self) -> httpx2.Response:
        return await self.ada.post(f"{AUTH}/logout")

    async def log_out_everywhere(self) -> httpx2.Response:
        return await self.ada_elsewhere.post(f"{AUTH}/logout-all")

    async def change_password(self) -> httpx2.Response:
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        return await self.ada_elsewhere.post(f"{ME}/password", json=body)

    async def deactivate_for_a_moment(self) -> httpx2.Response:
        path = f"{USERS}/{self.ada.user_id}"
        assert (await self.root.patch(path, json={"is_active": False})).status_code == 200
        return await self.root.patch(path, json={"is_active": True})

    async def delete_own_account(self) -> httpx2.Response:
        return await self.ada_elsewhere.delete(ME)

    async def delete_account_as_superuser(self) -> httpx2.Response:
        return await self.root.delete(f"{USERS}/{self.ada.user_id}")


@pytest.mark.parametrize(
    "end_session",
    [
        World.log_out,
        World.log_out_everywhere,
        World.change_password,
        World.deactivate_for_a_moment,
        World.delete_own_account,
        World.delete_account_as_superuser,
    ],
)
async def test_ended_session_loses_its_tokens_at_once(
    ada: UserClient,
    ada_elsewhere: UserClient,
    root: UserClient,
    end_session: Callable[[World], Awaitable[httpx2.Response]],
) -> None:
    response = await end_session(World(ada, ada_elsewhere, root))
    assert response.is_success, response.text
    assert not await ada.is_signed_in()
    assert not await ada.can_refresh()
    assert await root.is_signed_in()


async def test_logout_ends_only_the_current_session(
    ada: UserClient, ada_elsewhere: UserClient
) -> None:
    await ada.post(f"{AUTH}/logout")
    assert not await ada.is_signed_in()
    assert await ada_elsewhere.is_signed_in()
