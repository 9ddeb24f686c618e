"""Rate limits. With REDIS_URL, all processes count together."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from app.core.config import Settings
from app.core.exceptions import TooManyAttemptsError
from app.core.security import hmac_sha256
from app.core.security_events import log_security_event

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Limit(NamedTuple):
    """A rate with its own counters. The period begins with the first attempt."""

    name: str
    rate: RateLimitItem


PER_IP = Limit("ip", parse("100 per minute"))
PER_ACCOUNT = Limit("account", parse("10 per 10 minutes"))
PER_PASSWORD_CHANGE = Limit("password-change", parse("10 per 10 minutes"))
PER_EMAIL_CHANGE = Limit("email-change", parse("10 per hour"))


class RateLimits:
    """Counts attempts in the store of REDIS_URL, or in this process without one.

    While the store is unreachable, each process counts for itself. A store that doesn't answer must
    not hold up logins: it gets *timeout* seconds, and isn't asked again for *pause* seconds.
    """

    def __init__(self, settings: Settings, *, timeout: float = 0.5, pause: float = 5) -> None:
        self._enabled = settings.rate_limit_enabled
        self._key = settings.secret_key.get_secret_value()
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._store: RedisStorage | None = None
        self._pause = pause
        self._unreachable_until = 0.0
        if settings.redis_url is not None:
            self._store = RedisStorage(
                f"async+{settings.redis_url.get_secret_value()}",
                wrap_exceptions=True,
                implementation="valkey",
                socket_connect_timeout=timeout,
                socket_timeout=timeout,
            )

    async def hit(self, limit: Limit, subject: str) -> None:
        """Count an attempt of *subject*. Raises TooManyAttemptsError once there are too many."""
        if self._enabled:
            await self._count(lambda limiter: _hit(limiter, limit, self._hashed(subject)))

    async def allows(self, limit: Limit, subject: str) -> bool:
        """Like `hit`, but returns False instead of raising."""
        try:
            await self.hit(limit, subject)
        except TooManyAttemptsError:
            return False
        return True

    async def clear(self, limit: Limit, subject: str) -> None:
        """Forget the attempts of *subject*, because the last one succeeded."""
        if self._enabled:
            key = self._hashed(subject)
            await self._count(lambda limiter: limiter.clear(limit.rate, limit.name, key))

    async def ping_store(self) -> None:
        """Ask the store of REDIS_URL for anything. Raises StorageError if it can't answer."""
        if self._store is not None:
            await self._store.get("doctor")

    async def close(self) -> None:
        if self._store is not None:
            await self._store.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # every bridge has it

    async def _count(self, action: Callable[[FixedWindowRateLimiter], Awaitable[Result]]) -> Result:
        if self._store is not None and time.monotonic() >= self._unreachable_until:
            try:
                return await action(FixedWindowRateLimiter(self._store))
            except StorageError as error:
                self._unreachable_until = time.monotonic() + self._pause
                reason = type(error.storage_error).__name__
                logger.warning(
                    "Rate-limit store unreachable; counting locally", extra={"reason": reason}
                )
        return await action(self._local)

    def _hashed(self, subject: str) -> str:
        # Hashed, so that the store sees no addresses, and services that share it count separately.
        return hmac_sha256(self._key, subject)


async def _hit(limiter: FixedWindowRateLimiter, limit: Limit, key: str) -> None:
    if not await limiter.hit(limit.rate, limit.name, key):
        window = await limiter.get_window_stats(limit.rate, limit.name, key)
        seconds = math.ceil(window.reset_time - time.time())
        log_security_event("rate-limited", limit=limit.name)
        raise TooManyAttemptsError(retry_after=max(1, seconds))
