"""A pool of connections that is fair: who has waited longest gets the next connection."""

import asyncio
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only


class FairPool(AsyncAdaptedQueuePool):
    """Makes requests wait in order before they ask SQLAlchemy's pool, so that this never waits.

    In SQLAlchemy's own queue, a request that has just come takes the connection for which another
    one was woken, which then waits again, behind all others. Under constant load some requests wait
    until they time out, though the median is short.

    `_do_get` and `_do_return_conn` are what every pool of SQLAlchemy implements; there is no public
    hook before a connection is taken from the pool.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns = asyncio.Semaphore(self.size())

    def _do_get(self) -> ConnectionPoolEntry:
        if self._turns.locked():
            await_only(self._wait())
        else:
            await_only(self._turns.acquire())  # returns at once, without a costly timer
        try:
            return super()._do_get()
        except BaseException:
            self._turns.release()
            raise

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self.timeout()):
                await self._turns.acquire()
        except TimeoutError:
            raise PoolTimeoutError(
                f"none of {self.size()} connections was free within {self.timeout():g} s"
            ) from None

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            super()._do_return_conn(record)
        finally:
            self._turns.release()
