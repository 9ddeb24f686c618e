"""Password rules, and password hashing in a few threads."""

import asyncio
import base64
import gzip
import os
import secrets
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.core.config import PROJECT_NAME, Settings
from app.core.exceptions import InvalidInputError, UnavailableError

Result = TypeVar("Result")

MAX_LENGTH = 128
# In code points. Longer input is rejected without normalising it, which would take quadratic time
# for a row of combining marks. A password of MAX_LENGTH characters always fits, since no character
# is typed with more than eight code points.
MAX_TYPED_LENGTH = 1024

# OWASP's minimum for Argon2id: 19 MiB, two passes, one lane. If you raise it, each password
# is hashed again when its owner next signs in.
ARGON2 = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_MAX_THREADS = 16
_COMMON_PASSWORDS = Path(__file__).with_name("common_passwords.txt.gz")
# A shorter word, such as the local part of al@example.com, is part of too many passwords.
_MIN_WORD_LENGTH = 4


def normalise(password: str) -> str:
    """Normalise a password, so that it is the same whatever keyboard it was typed on.

    This is the OpaqueString profile of RFC 8265 section 4.2 (any space becomes U+0020) with NFKC
    in place of NFC, so that full-width letters and ligatures become plain ones too. *password* must
    not have more than MAX_TYPED_LENGTH code points.
    """
    # The only space (category Zs) that NFKC leaves unchanged.
    return unicodedata.normalize("NFKC", password).replace("\u1680", " ")


def _encode(password: str) -> bytes:
    return normalise(password).encode(errors="surrogatepass")


@cache
def _common_passwords() -> bytes:
    """Read the list: passwords in lower case, one on each line. See docs/security.md."""
    return b"\n" + gzip.decompress(_COMMON_PASSWORDS.read_bytes())


def _is_common(password: str) -> bool:
    # Searching 1 MB takes less than a millisecond, and a set of the lines would take 8 MB.
    return f"\n{password}\n".encode() in _common_passwords()


@dataclass(frozen=True)
class PasswordPolicy:
    """Decides which new passwords are accepted, as NIST SP 800-63B recommends.

    There are no composition rules: length is what makes a password hard to guess.
    """

    min_length: int = 12
    reject_common: bool = True
    service_name: str = PROJECT_NAME

    @classmethod
    def from_settings(cls, settings: Settings) -> "PasswordPolicy":
        return cls(settings.password_min_length, settings.password_reject_common)

    def check(self, password: str, email: str, *, field: str) -> None:
        """Raise InvalidInputError, which names *field*, for a password that is too easy to guess.

        Takes up to 10 ms, so it must not run on the event loop.
        """
        if len(password) > MAX_TYPED_LENGTH:
            raise self._wrong_length(field)
        typed = normalise(password)
        # Normalising shortens most passwords and lengthens some; the shorter form has to be enough.
        if min(len(password), len(typed)) < self.min_length or len(typed) > MAX_LENGTH:
            raise self._wrong_length(field)
        comparable = typed.casefold()

        def contains(*words: str) -> bool:
            return any(
                normalise(word).casefold() in comparable
                for word in words
                if len(word) >= _MIN_WORD_LENGTH
            )

        if contains(email, email.partition("@")[0]):
            raise InvalidInputError("must not contain the e-mail address", field=field)
        if contains(self.service_name, self.service_name.replace(" ", "")):
            raise InvalidInputError("must not contain the name of this service", field=field)
        if self.reject_common and _is_common(comparable):
            raise InvalidInputError("is too common", field=field)

    def _wrong_length(self, field: str) -> InvalidInputError:
        return InvalidInputError(
            f"must have {self.min_length} to {MAX_LENGTH} characters", field=field
        )


def _random_hash(hasher: argon2.PasswordHasher) -> str:
    """Return a hash with the costs of *hasher*, for which nobody knows a password."""

    def random(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${random(hasher.salt_len)}${random(hasher.hash_len)}"


class PasswordHasher:
    """Hashes and verifies passwords in a few threads.

    Logins queue for a slot and are rejected when the queue is full, so a flood of them can't
    exhaust the memory (19 MiB per hash). The event loop keeps a core.
    """

    def __init__(
        self,
        policy: PasswordPolicy | None = None,
        hasher: argon2.PasswordHasher = ARGON2,
        *,
        max_wait: float = 3,
        # Below MAX_CONCURRENT_REQUESTS, so that a flood of logins leaves room for other requests.
        max_waiting: int = 64,
    ) -> None:
        self.policy = policy or PasswordPolicy()
        self._hasher = hasher
        self._max_wait = max_wait
        self._max_waiting = max_waiting
        self._waiting = 0
        self.threads = max(1, min(_MAX_THREADS, (os.cpu_count() or 1) - 1))
        # Its own threads: the allocator keeps the memory of a hash for every thread that made one,
        # and anyio has many threads, which come and go.
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="hashing")
        # One extra slot, so that the next login can read its user while all threads hash.
        self._slots = asyncio.Semaphore(self.threads + 1)
        # Verified when an address is unknown, so that the answer takes as long as for a known one.
        self._dummy_hash = _random_hash(hasher)

    @property
    def waiting(self) -> int:
        """How many logins wait for a slot."""
        return self._waiting

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, in which to hash and verify. Hold no database connection in it.

        Raises UnavailableError when the queue is full or the wait takes too long.
        """
        if self._waiting >= self._max_waiting:
            raise UnavailableError(retry_after=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await self._slots.acquire()
        except TimeoutError:
            raise UnavailableError(retry_after=1) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(_encode(password)))

    async def hash_new(self, password: str, email: str, *, field: str) -> str:
        """Check a new password and hash it. Raises InvalidInputError, which names *field*."""
        await self._run(partial(self.policy.check, password, email, field=field))
        return await self.hash(password)

    async def verify(self, password: str, hashed_password: str | None) -> bool:
        """Return whether the password is right. Pass None for an unknown user: it never matches.

        It takes the same time for a wrong password, an over-long one and an unknown user.
        """
        is_right = await self._run(
            lambda: self._matches(password, hashed_password or self._dummy_hash)
        )
        return is_right and hashed_password is not None

    def needs_rehash(self, hashed_password: str) -> bool:
        return self._hasher.check_needs_rehash(hashed_password)

    def _matches(self, password: str, hashed_password: str) -> bool:
        is_possible = len(password) <= MAX_TYPED_LENGTH
        try:
            self._hasher.verify(hashed_password, _encode(password if is_possible else ""))
        except (VerifyMismatchError, InvalidHashError):
            return False
        return is_possible

    async def _run(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)
