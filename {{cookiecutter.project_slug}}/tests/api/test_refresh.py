"""Refresh tokens: each works once, and one that comes back revokes its user session."""

import asyncio
from datetime import timedelta

import httpx2
from sqlalchemy import func, select, update

from app.core.security import hmac_sha256
from app.db.base import utc_now
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user_session import RefreshToken, UserSession
from tests.support import UserClient, assert_problem, request_refresh


async def test_refresh_returns_a_new_pair(ada: UserClient) -> None:
    response = await request_refresh(ada, ada.tokens["refresh_token"])
    assert response.status_code == 200
    new = response.json()
    assert new.keys() == ada.tokens.keys()
    assert new["refresh_token"] != ada.tokens["refresh_token"]
    ada.headers["Authorization"] = f"Bearer {new['access_token']}"
    assert await ada.is_signed_in()


async def test_refresh_counts_as_use_of_the_session(ada: UserClient, database: Database) -> None:
    async with database.session.begin() as session:
        long_ago = utc_now() - timedelta(days=9)
        await session.execute(update(UserSession).values(last_used_at=long_ago))
    assert await ada.can_refresh()
    async with database.session() as reader:
        last_used_at = await reader.scalar(select(UserSession.last_used_at))
    assert last_used_at is not None
    assert utc_now() - last_used_at < timedelta(minutes=1)


async def test_refresh_token_works_once_and_revokes_its_session_when_reused(
    ada: UserClient, ada_elsewhere: UserClient, database: Database
) -> None:
    used = ada.tokens["refresh_token"]
    ada.tokens = (await request_refresh(ada, used)).json()
    assert_problem(await request_refresh(ada, used), 401, "invalid-refresh-token")
    # The revocation is stored although the answer is an error.
    async with database.session() as reader:
        revoked = select(func.count()).where(UserSession.revoked_at.is_not(None))
        assert await reader.scalar(revoked) == 1
    assert not await ada.is_signed_in()
    assert not await ada.can_refresh()
    assert await ada_elsewhere.is_signed_in()


async def test_reused_token_revokes_its_session_even_if_it_has_expired(
    ada: UserClient, database: Database
) -> None:
    used = ada.tokens["refresh_token"]
    ada.tokens = (await request_refresh(ada, used)).json()
    async with database.session.begin() as session:
        statement = update(RefreshToken).where(RefreshToken.used_at.is_not(None))
        await session.execute(statement.values(expires_at=utc_now() - timedelta(days=1)))
    assert_problem(await request_refresh(ada, used), 401, "invalid-refresh-token")
    assert not await ada.is_signed_in()
    assert not await ada.can_refresh()


async def test_one_of_many_concurrent_refreshes_succeeds(ada: UserClient) -> None:
    responses = await asyncio.gather(
        *(request_refresh(ada, ada.tokens["refresh_token"]) for _ in range(20))
    )
    assert sorted(response.status_code for response in responses) == [200] + [401] * 19
    # The others sent a used token. Nobody can tell a thief from a hasty client, so the session ends.
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    ada.headers["Authorization"] = f"Bearer {winner['access_token']}"
    assert not await ada.is_signed_in()


async def test_unknown_refresh_token_is_rejected(client: httpx2.AsyncClient) -> None:
    assert_problem(await request_refresh(client, "unknown"), 401, "invalid-refresh-token")


async def test_expired_refresh_token_is_rejected(ada: UserClient, database: Database) -> None:
    async with database.session.begin() as session:
        await session.execute(update(RefreshToken).values(expires_at=utc_now()))
    assert not await ada.can_refresh()
    assert await ada.is_signed_in()  # the access token has not expired


async def test_refresh_extends_a_session_but_not_beyond_its_maximum_age(
    ada: UserClient, database: Database
) -> None:
    async with database.session.begin() as session:
        user_session = (await session.scalars(select(UserSession))).one()
        user_session.created_at -= timedelta(days=80)
    assert await ada.can_refresh()
    async with database.session() as reader:
        tokens = select(RefreshToken.expires_at).order_by(RefreshToken.id)
        first, second = await reader.scalars(tokens)
    assert timedelta(days=29) < first - utc_now() < timedelta(days=31)
    assert timedelta(days=9) < second - utc_now() < timedelta(days=11)


async def test_refresh_tokens_are_opaque_and_stored_hashed(
    ada: UserClient, ada_elsewhere: UserClient, database: Database, resources: Resources
) -> None:
    first, second = ada.tokens["refresh_token"], ada_elsewhere.tokens["refresh_token"]
    third = (await request_refresh(ada, first)).json()["refresh_token"]
    sent = [first, second, third]
    assert all(len(token) >= 43 and "." not in token for token in sent)
    async with database.session() as reader:
        stored = list(await reader.scalars(select(RefreshToken).order_by(RefreshToken.id)))
    key = resources.settings.secret_key.get_secret_value()
    assert [token.token_hash for token in stored] == [hmac_sha256(key, token) for token in sent]
    # The new token belongs to the session of the one that it replaces.
    assert stored[0].user_session_id == stored[2].user_session_id != stored[1].user_session_id
