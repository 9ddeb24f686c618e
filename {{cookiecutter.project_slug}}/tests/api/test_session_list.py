"""The list of a user's sessions, in which each can be revoked."""

from fastapi import FastAPI
from sqlalchemy import update

from app.db.base import utc_now
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user_session import RefreshToken
from tests.api.conftest import Recorder
from tests.support import ME, UserClient, assert_problem, client_of, statements


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
    ada: UserClient, ada_elsewhere: UserClient, security_log: Recorder
) -> None:
    elsewhere, here = (await ada.get(f"{ME}/sessions")).json()
    path = f"{ME}/sessions/{elsewhere['id']}"
    assert (await ada.delete(path)).status_code == 204
    assert security_log.take("session-revoked")["session_id"] == elsewhere["id"]
    assert not await ada_elsewhere.is_signed_in()
    assert not await ada_elsewhere.can_refresh()
    assert (await ada.get(f"{ME}/sessions")).json() == [here]
    assert_problem(await ada.delete(path), 404, "not-found")


async def test_session_of_another_user_is_not_found(ada: UserClient, root: UserClient) -> None:
    (session,) = (await ada.get(f"{ME}/sessions")).json()
    assert_problem(await root.delete(f"{ME}/sessions/{session['id']}"), 404, "not-found")
    assert await ada.is_signed_in()


async def test_session_that_cannot_be_refreshed_is_not_listed(
    ada: UserClient, database: Database
) -> None:
    async with database.session.begin() as session:
        await session.execute(update(RefreshToken).values(expires_at=utc_now()))
    await ada.sign_in()
    (listed,) = (await ada.get(f"{ME}/sessions")).json()
    assert listed["current"]


async def test_list_takes_one_query_after_authentication(
    ada: UserClient, resources: Resources
) -> None:
    with statements(resources.database) as executed:
        assert (await ada.get(f"{ME}/sessions")).status_code == 200
    assert len(executed) == 2
