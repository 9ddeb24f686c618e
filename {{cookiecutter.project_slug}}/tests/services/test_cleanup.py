from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select, update

from app.db.base import utc_now
from app.db.session import Database
from app.models.user_session import RefreshToken, UserSession
from app.services import cleanup_service
from app.services.cleanup_service import CleanupService
from tests.support import log_in

REFRESH = "/api/v1/auth/refresh"


async def rows(database: Database, model: type[UserSession | RefreshToken]) -> int:
    async with database.read_session() as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
async def refresh_tokens(client: httpx2.AsyncClient, user: dict[str, str]) -> list[str]:
    """One login: two spent tokens and a good one."""
    tokens = [(await log_in(client, user["email"]))["refresh_token"]]
    for _ in range(2):
        response = await client.post(REFRESH, json={"refresh_token": tokens[-1]})
        tokens.append(response.json()["refresh_token"])
    return tokens


async def set_expiry(database: Database, *, spent: bool, days: int) -> None:
    async with database.session.begin() as session:
        await session.execute(
            update(RefreshToken)
            .where(RefreshToken.used_at.is_not(None) if spent else RefreshToken.used_at.is_(None))
            .values(expires_at=utc_now() + timedelta(days=days))
        )


async def test_what_is_needed_stays(
    client: httpx2.AsyncClient, database: Database, refresh_tokens: list[str]
) -> None:
    cleanup = CleanupService(database)
    assert await cleanup.delete_finished_user_sessions() == 0
    assert await cleanup.delete_expired_spent_tokens() == 0
    # Reuse is still noticed.
    assert (
        await client.post(REFRESH, json={"refresh_token": refresh_tokens[0]})
    ).status_code == 401
    assert (
        await client.post(REFRESH, json={"refresh_token": refresh_tokens[2]})
    ).status_code == 401


async def test_expired_spent_tokens_go(
    client: httpx2.AsyncClient, database: Database, refresh_tokens: list[str]
) -> None:
    await set_expiry(database, spent=True, days=-2)
    cleanup = CleanupService(database)
    assert await cleanup.delete_finished_user_sessions() == 0
    assert await cleanup.delete_expired_spent_tokens() == 2
    assert await rows(database, RefreshToken) == 1
    assert (
        await client.post(REFRESH, json={"refresh_token": refresh_tokens[2]})
    ).status_code == 200


@pytest.mark.usefixtures("refresh_tokens")
async def test_expired_logins_go_with_their_tokens(database: Database) -> None:
    await set_expiry(database, spent=True, days=-9)
    await set_expiry(database, spent=False, days=-2)
    assert await CleanupService(database).delete_finished_user_sessions() == 1
    assert await rows(database, RefreshToken) == 0


async def test_unspent_token_of_a_login_that_goes_on_stays(
    client: httpx2.AsyncClient, database: Database, refresh_tokens: list[str]
) -> None:
    """None is spent a second time, so none of them is the sign of a thief: they go with their login."""
    async with database.session.begin() as session:
        user_session_id = await session.scalar(select(UserSession.id))
        expired_at = utc_now() - timedelta(days=9)
        session.add(
            RefreshToken(user_session_id=user_session_id, token_hash="x", expires_at=expired_at)
        )
    cleanup = CleanupService(database)
    assert await cleanup.delete_finished_user_sessions() == 0
    assert await cleanup.delete_expired_spent_tokens() == 0
    assert await rows(database, RefreshToken) == 4


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each statement has deleted; two at the most."""
    sizes = []

    def noting(delete: Callable[..., Awaitable[list[UUID]]]) -> Callable[..., Any]:
        async def delete_and_note(*arguments: Any, **options: Any) -> list[UUID]:
            deleted = await delete(*arguments, **options)
            sizes.append(len(deleted))
            return deleted

        return delete_and_note

    monkeypatch.setattr(cleanup_service, "BATCH_SIZE", 2)
    for name in ("delete_finished_user_sessions", "delete_expired_spent_tokens"):
        monkeypatch.setattr(cleanup_service, name, noting(getattr(cleanup_service, name)))
    return sizes


async def test_expired_spent_tokens_go_in_batches(
    database: Database, refresh_tokens: list[str], batches: list[int]
) -> None:
    async with database.session.begin() as session:
        user_session_id = await session.scalar(select(UserSession.id))
        past = utc_now() - timedelta(days=9)
        for number in range(5):
            session.add(
                RefreshToken(
                    user_session_id=user_session_id,
                    token_hash=f"{number}",
                    expires_at=past,
                    used_at=past,
                )
            )
    assert await CleanupService(database).delete_expired_spent_tokens() == 5
    assert batches == [2, 2, 1, 0]
    assert await rows(database, RefreshToken) == 3


async def test_ended_logins_go_in_batches(
    client: httpx2.AsyncClient,
    database: Database,
    user: dict[str, str],
    batches: list[int],
) -> None:
    async with database.session.begin() as session:
        for hours in (1, 30, 30, 30, 30, 30):
            revoked_at = utc_now() - timedelta(hours=hours)
            session.add(UserSession(user_id=UUID(user["id"]), revoked_at=revoked_at))
    await log_in(client, user["email"])
    async with database.session.begin() as session:
        # The login that ended an hour ago has no refresh token that could go on, and none at all.
        recent = await session.scalar(
            select(UserSession.id).order_by(UserSession.revoked_at.desc().nulls_last())
        )
        session.add(
            RefreshToken(
                user_session_id=recent, token_hash="x", expires_at=utc_now() + timedelta(days=1)
            )
        )
    assert await CleanupService(database).delete_finished_user_sessions() == 5
    assert batches == [2, 2, 1, 0]
    assert await rows(database, UserSession) == 2
