"""Limits of attempts, counted by all processes together when REDIS_URL is set."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from app.core.config import Settings
from app.core.exceptions import TooManyAttemptsError
from app.core.security import hmac_sha256

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
MailPurpose = Literal["verify-email", "reset-password"]

# So many in so many minutes or hours, from the first attempt on. The names keep the counters apart.
PER_ADDRESS = RateLimitItemPerMinute(100, 1, "address")
PER_ACCOUNT = RateLimitItemPerMinute(10, 10, "account")
PER_PASSWORD_CHANGE = RateLimitItemPerMinute(10, 10, "password-change")
PER_EMAIL_CHANGE = RateLimitItemPerHour(10, 1, "email-change")
# Apart: whoever asks for the one must not keep away the other.
PER_MAILBOX: dict[MailPurpose, RateLimitItem] = {
    "verify-email": RateLimitItemPerHour(5, 1, "verify-email"),
    "reset-password": RateLimitItemPerHour(5, 1, "reset-password"),
}

# A server that doesn't answer must not hold up logins: it gets this long, and a pause after that.
_TIMEOUT_SECONDS = 0.5
_PAUSE_SECONDS = 5


class RateLimits:
    """Without the server of REDIS_URL, and while it is away, this process counts for itself."""

    def __init__(self, settings: Settings) -> None:
        self._enabled = settings.rate_limit_enabled
        self._key = settings.secret_key.get_secret_value()
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._server: RedisStorage | None = None
        self._away_until = 0.0
        if settings.redis_url is not None:
            self._server = RedisStorage(
                f"async+{settings.redis_url.get_secret_value()}",
                wrap_exceptions=True,
                implementation="valkey",
                socket_connect_timeout=_TIMEOUT_SECONDS,
                socket_timeout=_TIMEOUT_SECONDS,
            )

    async def hit(self, limit: RateLimitItem, name: str) -> None:
        """Count an attempt of *name*. Raises TooManyAttemptsError once there are too many."""
        if self._enabled:
            await self._count(lambda limiter: _hit(limiter, limit, self._hashed(name)))

    async def allows(self, limit: RateLimitItem, name: str) -> bool:
        """Like `hit`, for what is left undone without a word."""
        try:
            await self.hit(limit, name)
        except TooManyAttemptsError:
            return False
        return True

    async def clear(self, limit: RateLimitItem, name: str) -> None:
        """Forget the attempts of *name*: the last one succeeded."""
        if self._enabled:
            await self._count(lambda limiter: limiter.clear(limit, self._hashed(name)))

    async def close(self) -> None:
        if self._server is not None:
            await self._server.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # every bridge has it

    async def _count(self, action: Callable[[FixedWindowRateLimiter], Awaitable[Result]]) -> Result:
        if self._server is not None and time.monotonic() >= self._away_until:
            try:
                return await action(FixedWindowRateLimiter(self._server))
            except StorageError as error:
                self._away_until = time.monotonic() + _PAUSE_SECONDS
                reason = type(error.storage_error).__name__
                logger.warning("No counting with REDIS_URL", extra={"reason": reason})
        return await action(self._local)

    def _hashed(self, name: str) -> str:
        # The server learns no addresses, and services that share it don't share counters.
        return hmac_sha256(self._key, name)


async def _hit(limiter: FixedWindowRateLimiter, limit: RateLimitItem, key: str) -> None:
    if not await limiter.hit(limit, key):
        window = await limiter.get_window_stats(limit, key)
        seconds = math.ceil(window.reset_time - time.time())
        raise TooManyAttemptsError(retry_after=max(1, seconds))
