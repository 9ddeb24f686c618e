"""Clean-up deletes what nobody needs any more, in batches, and nothing else."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.crud import user_session as queries
from app.db.base import utc_now
from app.db.session import Database
from app.models.user_session import RefreshToken, UserSession
from app.services import cleanup_service
from app.services.cleanup_service import CleanupService
from tests.support import AUTH, UserClient


async def count(database: Database, model: type[UserSession | RefreshToken]) -> int:
    async with database.session() as reader:
        return await reader.scalar(select(func.count()).select_from(model)) or 0


async def can_refresh(ada: UserClient, token: str) -> bool:
    response = await ada.post(f"{AUTH}/refresh", json={"refresh_token": token})
    return response.status_code == 200


@pytest.fixture
async def refresh_tokens(ada: UserClient) -> list[str]:
    """The tokens of one session: two used ones and an unused one."""
    tokens = [ada.tokens["refresh_token"]]
    for _ in range(2):
        response = await ada.post(f"{AUTH}/refresh", json={"refresh_token": tokens[-1]})
        tokens.append(response.json()["refresh_token"])
    return tokens


async def set_expiry(database: Database, *, is_used: bool, days: int) -> None:
    async with database.session.begin() as session:
        await session.execute(
            update(RefreshToken)
            .where(RefreshToken.used_at.is_not(None) == is_used)
            .values(expires_at=utc_now() + timedelta(days=days))
        )


async def add_tokens(database: Database, number: int, **values: Any) -> None:
    """Add tokens to the only session."""
    async with database.session.begin() as session:
        user_session_id = await session.scalar(select(UserSession.id))
        session.add_all(
            RefreshToken(user_session_id=user_session_id, token_hash=f"{n}", **values)
            for n in range(number)
        )


async def test_unexpired_tokens_are_kept_so_that_reuse_is_noticed(
    ada: UserClient, database: Database, refresh_tokens: list[str]
) -> None:
    cleanup = CleanupService(database)
    assert await cleanup.delete_finished_user_sessions() == 0
    assert await cleanup.delete_expired_used_tokens() == 0
    assert not await can_refresh(ada, refresh_tokens[0])
    assert not await can_refresh(ada, refresh_tokens[2])  # the reuse has revoked the session


async def test_expired_used_tokens_are_deleted(
    ada: UserClient, database: Database, refresh_tokens: list[str]
) -> None:
    await set_expiry(database, is_used=True, days=-2)
    cleanup = CleanupService(database)
    assert await cleanup.delete_finished_user_sessions() == 0
    assert await cleanup.delete_expired_used_tokens() == 2
    assert await count(database, RefreshToken) == 1
    assert await can_refresh(ada, refresh_tokens[2])


@pytest.mark.usefixtures("refresh_tokens")
async def test_expired_session_is_deleted_with_its_tokens(database: Database) -> None:
    await set_expiry(database, is_used=True, days=-9)
    await set_expiry(database, is_used=False, days=-2)
    assert await CleanupService(database).delete_finished_user_sessions() == 1
    assert await count(database, RefreshToken) == 0


@pytest.mark.usefixtures("refresh_tokens")
async def test_unused_token_of_a_live_session_is_kept(database: Database) -> None:
    """It isn't a sign of theft, and there are few: it goes with its session."""
    await add_tokens(database, 1, expires_at=utc_now() - timedelta(days=9))
    cleanup = CleanupService(database)
    assert await cleanup.delete_finished_user_sessions() == 0
    assert await cleanup.delete_expired_used_tokens() == 0
    assert await count(database, RefreshToken) == 4


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows that each statement has deleted."""
    sizes = []

    def recording(
        delete: Callable[..., Coroutine[Any, Any, list[UUID]]],
    ) -> Callable[..., Coroutine[Any, Any, list[UUID]]]:
        async def delete_and_record(*arguments: Any, **options: Any) -> list[UUID]:
            deleted = await delete(*arguments, **options)
            sizes.append(len(deleted))
            return deleted

        return delete_and_record

    for function in (queries.delete_finished_user_sessions, queries.delete_expired_used_tokens):
        monkeypatch.setattr(cleanup_service, function.__name__, recording(function))
    return sizes


@pytest.mark.usefixtures("refresh_tokens")
async def test_tokens_are_deleted_in_batches(database: Database, batches: list[int]) -> None:
    past = utc_now() - timedelta(days=9)
    await add_tokens(database, 5, expires_at=past, used_at=past)
    assert await CleanupService(database, batch_size=2).delete_expired_used_tokens() == 5
    assert batches == [2, 2, 1, 0]
    assert await count(database, RefreshToken) == 3


async def test_revoked_sessions_are_deleted_in_batches_after_a_day(
    ada: UserClient, database: Database, batches: list[int]
) -> None:
    recent = UserSession(user_id=ada.user_id, revoked_at=utc_now() - timedelta(hours=1))
    old = [
        UserSession(user_id=ada.user_id, revoked_at=utc_now() - timedelta(hours=30))
        for _ in range(5)
    ]
    async with database.session.begin() as session:
        session.add_all([recent, *old])
        await session.flush()
        tomorrow = utc_now() + timedelta(days=1)
        session.add(RefreshToken(user_session_id=recent.id, token_hash="x", expires_at=tomorrow))
    assert await CleanupService(database, batch_size=2).delete_finished_user_sessions() == 5
    assert batches == [2, 2, 1, 0]
    assert await count(database, UserSession) == 2  # the recent one, and Ada's own
    assert await ada.is_signed_in()
