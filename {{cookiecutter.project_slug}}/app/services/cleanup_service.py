"""Deletes what nobody needs any more, in short transactions beside the service's own."""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.crud.user_session import delete_expired_spent_tokens, delete_finished_user_sessions
from app.db.base import utc_now
from app.db.session import Database

BATCH_SIZE = 1000
# Longer than any request takes that is under way.
MIN_AGE = timedelta(days=1)


class _Delete(Protocol):
    def __call__(
        self, session: AsyncSession, *, before: datetime, after_id: UUID, limit: int
    ) -> Awaitable[list[UUID]]: ...


class CleanupService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_finished_user_sessions(self) -> int:
        return await self._in_batches(delete_finished_user_sessions)

    async def delete_expired_spent_tokens(self) -> int:
        return await self._in_batches(delete_expired_spent_tokens)

    async def _in_batches(self, delete: _Delete) -> int:
        before = utc_now() - MIN_AGE
        count, last_id = 0, UUID(int=0)
        while True:
            async with self._database.session.begin() as session:
                deleted = await delete(session, before=before, after_id=last_id, limit=BATCH_SIZE)
            if not deleted:
                return count
            count += len(deleted)
            last_id = max(deleted)
