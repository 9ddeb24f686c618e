"""User sessions: listing them, and everything that ends them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI

from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    USERS,
    Mailbox,
    UserClient,
    assert_problem,
    client_of,
    token_for,
)


@dataclass
class World:
    """Everybody who can end Ada's session."""

    ada: UserClient
    ada_elsewhere: UserClient
    root: UserClient
    mailbox: Mailbox

    async def log_out(self) -> httpx2.Response:
        return await self.ada.post(f"{AUTH}/logout")

    async def log_out_everywhere(self) -> httpx2.Response:
        return await self.ada_elsewhere.post(f"{AUTH}/logout-all")

    async def revoke_session(self) -> httpx2.Response:
        sessions = (await self.ada_elsewhere.get(f"{ME}/sessions")).json()
        (session_id,) = [session["id"] for session in sessions if not session["current"]]
        return await self.ada_elsewhere.delete(f"{ME}/sessions/{session_id}")

    async def change_password(self) -> httpx2.Response:
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        return await self.ada_elsewhere.post(f"{ME}/password", json=body)

    async def reset_password(self) -> httpx2.Response:
        token = await token_for(self.ada, self.mailbox, self.ada.email, "password-reset")
        body = {"token": token, "new_password": NEW_PASSWORD}
        return await self.ada.post(f"{AUTH}/password-reset", json=body)

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
        World.revoke_session,
        World.change_password,
        World.reset_password,
        World.deactivate_for_a_moment,
        World.delete_own_account,
        World.delete_account_as_superuser,
    ],
)
async def test_ended_session_loses_its_tokens_at_once(
    ada: UserClient,
    ada_elsewhere: UserClient,
    root: UserClient,
    mailbox: Mailbox,
    end_session: Callable[[World], Awaitable[httpx2.Response]],
) -> None:
    response = await end_session(World(ada, ada_elsewhere, root, mailbox))
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


async def test_sessions_are_listed_newest_first_with_their_devices(
    app: FastAPI, ada: UserClient
) -> None:
    long_name = "old phone " + "x" * 400
    async with client_of(app, "192.0.2.1") as phone:
        phone.user = ada.user
        phone.headers["User-Agent"] = long_name
        await phone.sign_in()
    newest, oldest = (await ada.get(f"{ME}/sessions")).json()
    assert newest.keys() == oldest.keys() == {
        "id", "created_at", "last_used_at", "user_agent", "ip_address", "current"
    }  # fmt: skip
    assert (newest["user_agent"], newest["ip_address"]) == (long_name[:400], "192.0.2.1")
    assert oldest["ip_address"] == "127.0.0.1"
    assert (newest["current"], oldest["current"]) == (False, True)


async def test_session_is_revoked_by_id_and_only_once(
    ada: UserClient, ada_elsewhere: UserClient
) -> None:
    elsewhere, here = (await ada.get(f"{ME}/sessions")).json()
    path = f"{ME}/sessions/{elsewhere['id']}"
    assert (await ada.delete(path)).status_code == 204
    assert not await ada_elsewhere.is_signed_in()
    assert (await ada.get(f"{ME}/sessions")).json() == [here]
    assert_problem(await ada.delete(path), 404, "not-found")


async def test_session_of_another_user_is_not_found(ada: UserClient, root: UserClient) -> None:
    (session,) = (await ada.get(f"{ME}/sessions")).json()
    assert_problem(await root.delete(f"{ME}/sessions/{session['id']}"), 404, "not-found")
    assert await ada.is_signed_in()
