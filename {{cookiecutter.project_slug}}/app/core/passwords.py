"""Hashing of passwords, off the event loop and a few at a time."""

import os
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio

from app.core.exceptions import InvalidInputError, UnavailableError
from app.core.security import hash_password, verify_password

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_MAX_WAIT_SECONDS = 5
# A shorter local part, as of al@example.com, is in too many words to mean anything.
_MIN_TELLING_LENGTH = 4


def refuse_guessable_password(password: str, email: str, *, field: str) -> None:
    """Raises InvalidInputError, which names *field*, for a password that contains the address."""
    local_part = email.partition("@")[0]
    lowered = password.lower()
    if email in lowered or (len(local_part) >= _MIN_TELLING_LENGTH and local_part in lowered):
        raise InvalidInputError("must not contain the e-mail address", field=field)


class PasswordHashing:
    """Threads for hashing. A flood of logins waits for one, then is refused; it can't exhaust the
    memory (19 MiB a hash) or starve the event loop, which keeps a core.
    """

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(max(1, min(16, (os.cpu_count() or 1) - 1)))

    async def hash(self, password: str) -> str:
        return await self._run(hash_password, password)

    async def verify(self, password: str, hashed_password: str) -> bool:
        return await self._run(verify_password, password, hashed_password)

    async def _run(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Raises UnavailableError when no thread gets free in time."""
        try:
            with anyio.fail_after(_MAX_WAIT_SECONDS):
                await self._limiter.acquire_on_behalf_of(task := object())
        except TimeoutError:
            raise UnavailableError(retry_after=_MAX_WAIT_SECONDS) from None
        try:
            return await anyio.to_thread.run_sync(function, *arguments)
        finally:
            self._limiter.release_on_behalf_of(task)
