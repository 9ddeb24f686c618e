"""psycopg's connection with time limits. Nothing here depends on settings of the server's session.

A pooler in transaction mode (PgBouncer, Neon, Supabase) may run each transaction in another session
of the server. So there are no prepared statements and no start-up parameters that a pooler rejects,
and limits of a transaction are set in the transaction itself (app/db/engine.py).
"""

import asyncio
from typing import Any, Self

import psycopg
from psycopg import errors, generators
from psycopg.abc import RV, ConnParam, PQGen
from psycopg.pq import TransactionStatus
from psycopg.waiting import wait_async

from app.core.config import PROJECT_SLUG
from app.core.limits import CANCEL_TIMEOUT_SECONDS, CONNECT_TIMEOUT_SECONDS, PING_TIMEOUT_SECONDS

# psycopg waits at least this long for each of several hosts.
_SECONDS_FOR_EACH_HOST = 2


class PostgresConnection(psycopg.AsyncConnection[Any]):
    """Ends statements that take longer than `time_limit` seconds, also if the server hangs."""

    time_limit: float | None = None

    @classmethod
    async def open(cls, *, time_limit: float | None, **parameters: Any) -> Self:
        """Connect with libpq's *parameters*. Takes `connect_timeout` for the whole attempt."""
        hosts = str(parameters.get("host", "")).count(",") + 1
        seconds = float(parameters.get("connect_timeout", _SECONDS_FOR_EACH_HOST)) * hosts
        if hosts == 1 and "connect_timeout" not in parameters:
            seconds = CONNECT_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(seconds):
                connection = await cls.connect(**(_DEFAULTS | parameters), prepare_threshold=None)
        except TimeoutError:
            raise errors.ConnectionTimeout(f"no connection within {seconds:g} s") from None
        connection.time_limit = time_limit
        return connection

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 -- psycopg's signature
    ) -> RV:
        """Wait like psycopg, but no longer than the time limit, and not long for a cancellation."""
        try:
            return await wait_async(gen, self.pgconn.socket, interval, timeout or self.time_limit)
        except asyncio.CancelledError:
            await self._cancel(gen)
            raise
        except errors.OperationalError:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise  # the server has answered, or the connection has ended
            await self._cancel(gen)
            raise errors.QueryCanceled("the statement exceeded the time limit") from None

    async def rollback(self) -> None:
        """Do nothing after a read, which had no transaction: SQLAlchemy calls this each time."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            await super().rollback()

    async def _cancel(self, gen: PQGen[Any]) -> None:
        """Have the server cancel the statement. Close the connection if that takes time."""
        try:
            await self.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)
            await wait_async(gen, self.pgconn.socket, timeout=CANCEL_TIMEOUT_SECONDS)
        except errors.QueryCanceled:
            pass
        except BaseException as error:
            self.pgconn.finish()
            if not isinstance(error, errors.Error):
                raise

    def has_ended(self) -> bool:
        """Check whether the server has closed the connection, without asking it."""
        try:
            # The first call may read a message, such as the reason, and the second one the end.
            self.pgconn.consume_input()
            self.pgconn.consume_input()
        except errors.Error:
            return True
        return self.closed

    async def ping(self) -> None:
        """Wait for a sign of life, for a short time. Close the connection if there is none."""
        try:
            self.pgconn.send_query(b"SELECT 1")
            execution = generators.execute(self.pgconn)
            await wait_async(execution, self.pgconn.socket, timeout=PING_TIMEOUT_SECONDS)
        except BaseException:
            self.pgconn.finish()
            raise


_DEFAULTS: dict[str, ConnParam] = {
    "client_encoding": "utf8",
    "fallback_application_name": PROJECT_SLUG,
}
