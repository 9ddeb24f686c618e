"""Hashing: a few passwords at a time, off the event loop, with a bounded queue."""

import asyncio
import os
import threading
import time
from contextlib import AsyncExitStack
from typing import Literal

import argon2
import pytest
from argon2.exceptions import VerifyMismatchError

from app.core.exceptions import InvalidInputError, UnavailableError
from app.core.passwords import ARGON2, MAX_TYPED_LENGTH, PasswordHasher, PasswordPolicy

EMAIL = "ada.lovelace@example.com"
PASSWORD = "correct horse battery staple"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)


class Recorder(argon2.PasswordHasher):
    """Takes 5 ms, and records what was verified, in which threads, and how many at a time."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=16, parallelism=1)
        self.verified: list[bytes] = []
        self.threads: list[str] = []
        self.most = self._active = 0
        self._lock = threading.Lock()

    def _note(self) -> None:
        with self._lock:
            self._active += 1
            self.most = max(self.most, self._active)
            self.threads.append(threading.current_thread().name)
        time.sleep(0.005)
        with self._lock:
            self._active -= 1

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self._note()
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 -- argon2's own name
        assert isinstance(password, bytes)
        self.verified.append(password)
        self._note()
        return super().verify(hash, password)


async def wait_for_slot(hasher: PasswordHasher) -> None:
    async with hasher.slot():
        pass


async def take_all_slots(hasher: PasswordHasher, stack: AsyncExitStack) -> None:
    for _ in range(hasher.threads + 1):
        await stack.enter_async_context(hasher.slot())


async def test_hash_has_the_parameters_of_owasp() -> None:
    hasher = PasswordHasher()
    hashed = await hasher.hash("correct horse")
    # At least 19 MiB, two passes, one lane.
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.verify("correct horse", hashed)
    assert not await hasher.verify("correct horse ", hashed)
    hasher.close()


async def test_only_the_right_password_is_verified() -> None:
    hasher = PasswordHasher(hasher=CHEAP)
    hashed = await hasher.hash("correct horse")
    assert await hasher.verify("correct horse", hashed)
    assert await hasher.verify("\uff43orrect\u3000horse", hashed)  # typed in full width
    assert not await hasher.verify("\ud800", hashed)
    assert not await hasher.verify("correct horse", "not a hash")
    hasher.close()


async def test_unknown_user_costs_one_verification_and_never_matches() -> None:
    class YesMan(Recorder):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 -- as above
            assert argon2.extract_parameters(str(hash)) == argon2.extract_parameters(CHEAP.hash(""))
            with pytest.raises(VerifyMismatchError):
                super().verify(hash, password)
            return True

    hasher = PasswordHasher(hasher=(argon2_hasher := YesMan()))
    assert not await hasher.verify(PASSWORD, None)
    assert argon2_hasher.verified == [PASSWORD.encode()]
    hasher.close()


async def test_over_long_password_is_wrong_after_one_verification() -> None:
    argon2_hasher = Recorder()
    hasher = PasswordHasher(hasher=argon2_hasher)
    longest = "\u0301" * MAX_TYPED_LENGTH
    hashed, hash_of_nothing = await hasher.hash(longest), await hasher.hash("")
    assert await hasher.verify(longest, hashed)
    assert not await hasher.verify(f"{longest}\u0301", hash_of_nothing)
    assert argon2_hasher.verified == [longest.encode(), b""]
    hasher.close()


async def test_hash_is_renewed_when_the_parameters_rise() -> None:
    stronger = PasswordHasher(hasher=ARGON2)
    assert stronger.needs_rehash(CHEAP.hash(PASSWORD))
    assert not stronger.needs_rehash(ARGON2.hash(PASSWORD))
    stronger.close()


async def test_new_password_is_checked_before_it_is_hashed() -> None:
    argon2_hasher = Recorder()
    hasher = PasswordHasher(PasswordPolicy(min_length=30), argon2_hasher)
    argon2_hasher.threads.clear()
    with pytest.raises(InvalidInputError, match="must have 30 to 128"):
        await hasher.hash_new(PASSWORD, EMAIL, field="password")
    assert argon2_hasher.threads == []
    hasher.close()


async def test_policy_and_hashing_run_in_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    argon2_hasher = Recorder()
    hasher = PasswordHasher(hasher=argon2_hasher)
    names = argon2_hasher.threads = []  # the constructor made a hash in this thread

    def check(*_: object, field: str) -> None:
        names.append(threading.current_thread().name)

    monkeypatch.setattr(PasswordPolicy, "check", check)
    hashed = await hasher.hash_new(PASSWORD, EMAIL, field="password")
    await hasher.verify(PASSWORD, hashed)
    hasher.close()
    assert len(names) == 3
    assert all(name.startswith("hashing") for name in names)


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 1), (4, 3), (64, 16)])
async def test_hashing_leaves_one_core_free(
    cores: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen hashes need 304 MiB; there are never more at a time."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    argon2_hasher = Recorder()
    hasher = PasswordHasher(hasher=argon2_hasher)
    await asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(40)))
    hasher.close()
    assert argon2_hasher.most <= threads == hasher.threads


async def test_full_queue_rejects_at_once() -> None:
    hasher = PasswordHasher(hasher=CHEAP, max_waiting=2, max_wait=30)
    async with AsyncExitStack() as slots:
        await take_all_slots(hasher, slots)
        waiting = [asyncio.create_task(wait_for_slot(hasher)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await wait_for_slot(hasher)
    await asyncio.gather(*waiting)
    hasher.close()


async def test_wait_for_a_slot_times_out() -> None:
    hasher = PasswordHasher(hasher=CHEAP, max_wait=0.01)
    async with AsyncExitStack() as slots:
        await take_all_slots(hasher, slots)
        with pytest.raises(UnavailableError):
            await wait_for_slot(hasher)
    await wait_for_slot(hasher)  # later ones aren't held up by those that gave up
    hasher.close()


@pytest.mark.parametrize("error", [UnavailableError(retry_after=1), asyncio.CancelledError()])
async def test_failure_in_a_slot_frees_it_for_the_next(error: BaseException) -> None:
    hasher = PasswordHasher(hasher=CHEAP, max_wait=0.01)
    for _ in range(hasher.threads + 2):
        with pytest.raises(type(error)):
            async with hasher.slot():
                raise error
    await wait_for_slot(hasher)
    hasher.close()


async def test_cancelled_wait_leaves_the_queue() -> None:
    hasher = PasswordHasher(hasher=CHEAP, max_waiting=1, max_wait=30)
    async with AsyncExitStack() as slots:
        await take_all_slots(hasher, slots)
        for _ in range(3):
            task = asyncio.create_task(wait_for_slot(hasher))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    await wait_for_slot(hasher)
    hasher.close()
