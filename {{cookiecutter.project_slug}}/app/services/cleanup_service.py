"""Deletes rows that nobody needs any more, in short transactions while the service runs."""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.crud.user_session import delete_expired_used_tokens, delete_finished_user_sessions
from app.db.base import utc_now
from app.db.session import Database

# Longer than any request takes.
MIN_AGE = timedelta(days=1)


class _BatchDelete(Protocol):
    """Deletes at most *limit* rows whose id is greater than *after_id* and returns their ids."""

    def __call__(
        self, session: AsyncSession, *, before: datetime, after_id: UUID, limit: int
    ) -> Awaitable[list[UUID]]: ...


class CleanupService:
    def __init__(self, database: Database, *, batch_size: int = 1000) -> None:
        self._database = database
        self._batch_size = batch_size

    async def delete_finished_user_sessions(self) -> int:
        """Return how many sessions were deleted."""
        return await self._in_batches(delete_finished_user_sessions)

    async def delete_expired_used_tokens(self) -> int:
        """Return how many refresh tokens were deleted."""
        return await self._in_batches(delete_expired_used_tokens)

    async def _in_batches(self, delete: _BatchDelete) -> int:
        # Walks through the table by id, so that no batch reads rows that an earlier one has kept.
        before = utc_now() - MIN_AGE
        count, last_id = 0, UUID(int=0)
        while True:
            async with self._database.session.begin() as session:
                deleted = await delete(
                    session, before=before, after_id=last_id, limit=self._batch_size
                )
            if not deleted:
                return count
            count += len(deleted)
            last_id = max(deleted)
