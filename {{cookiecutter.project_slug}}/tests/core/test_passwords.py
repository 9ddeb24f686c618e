import asyncio
import os
import threading
import time
from contextlib import AsyncExitStack

import pytest

from app.core import passwords
from app.core.exceptions import InvalidInputError, UnavailableError
from app.core.passwords import PasswordHasher, check_password_strength

EMAIL = "ada.lovelace@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "PaSsWoRd1234",  # listed in lower case
        "Cappuccino20",  # listed as it stands
        "123456789012",
        "qwertyuiop12",
        "letmeinletmein",
        "aaaaaaaaaaaaaaaa",
        "administrator",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234",  # the first one in full width
    ],
)
def test_common_password(password: str) -> None:
    with pytest.raises(InvalidInputError, match="too common") as caught:
        check_password_strength(password, EMAIL, field="password")
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("password", "email"),
    [
        ("ada.lovelace@example.com", EMAIL),
        ("my ADA.Lovelace key", EMAIL),
        ("x" + EMAIL.upper(), EMAIL),
        ("my \ufb01onabell key 77", "\ufb01onabell@example.com"),  # which begins with a ligature
        ("my fionabell key 77", "\ufb01onabell@example.com"),
        ("my \uff41\uff44\uff41\uff4d key 77", "adam@example.com"),  # full width
    ],
)
def test_password_with_the_address(password: str, email: str) -> None:
    with pytest.raises(InvalidInputError, match="e-mail address"):
        check_password_strength(password, email, field="password")


@pytest.mark.parametrize("password", ["my ANALYTICAL Engine", "AnalyticalEngine1843"])
def test_password_with_the_name_of_the_service(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInputError, match="name of this service"):
        check_password_strength(password, EMAIL, field="password")
    monkeypatch.setattr(passwords, "PROJECT_NAME", "Ana")  # too short to mean anything
    check_password_strength(password, EMAIL, field="password")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "Test-password-1",
        "\u043a\u043e\u043d\u044c \u0438 \u0431\u0430\u0442\u0430\u0440\u0435\u044f",
        "\U0001f40e" * 5 + "vTq8#mZ",
        "x9!kQ2" * 21,
    ],
)
def test_good_password(password: str) -> None:
    check_password_strength(password, EMAIL, field="password")


async def test_flood_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.passwords._MAX_WAITING", 2)
    hashing = PasswordHasher()

    async def hash_one() -> str:
        async with hashing.slot():
            return await hashing.hash("correct horse battery staple")

    turns = int(hashing._slots.total_tokens)
    results = await asyncio.gather(*(hash_one() for _ in range(turns + 3)), return_exceptions=True)
    assert [type(result) for result in results].count(UnavailableError) == 1


async def test_turn_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = PasswordHasher()
    async with AsyncExitStack() as others:
        for _ in range(int(hashing._slots.total_tokens)):
            await others.enter_async_context(hashing.slot())
        # Only now: a busy machine takes its time for those that come at once.
        with monkeypatch.context() as patch:
            patch.setattr("app.core.passwords._MAX_WAIT_SECONDS", 0.01)
            with pytest.raises(UnavailableError):
                await others.enter_async_context(hashing.slot())
    async with hashing.slot():
        """Whoever comes later is not held up by those who gave up."""


async def test_who_waits_gives_up_with_those_who_met_no_database() -> None:
    hashing = PasswordHasher()

    async def take_slot() -> None:
        async with hashing.slot():
            """Whoever gets in here finds the database away as well."""

    async with AsyncExitStack() as others:
        for _ in range(int(hashing._slots.total_tokens) - 1):
            await others.enter_async_context(hashing.slot())
        with pytest.raises(UnavailableError, match="no database"):  # noqa: PT012 -- who waits begins within
            async with hashing.slot():
                waiting = [asyncio.create_task(take_slot()) for _ in range(3)]
                while hashing._slots.statistics().tasks_waiting < 3:
                    await asyncio.sleep(0)
                raise UnavailableError("no database", retry_after=1)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [UnavailableError] * 3
        await take_slot()  # whoever comes later tries again


async def test_other_errors_concern_nobody_else() -> None:
    hashing = PasswordHasher()

    async def take_slot() -> bool:
        async with hashing.slot():
            return True

    async with AsyncExitStack() as others:
        for _ in range(int(hashing._slots.total_tokens) - 1):
            await others.enter_async_context(hashing.slot())
        with pytest.raises(InvalidInputError):  # noqa: PT012 -- as above
            async with hashing.slot():
                waiting = asyncio.create_task(take_slot())
                while not hashing._slots.statistics().tasks_waiting:
                    await asyncio.sleep(0)
                raise InvalidInputError(field="password")
        assert await waiting


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 1), (4, 3), (64, 16)])
async def test_hashes_at_a_time(
    cores: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as leave a core to the event loop; sixteen need 304 MiB, and more are never made at once."""
    lock, names = threading.Lock(), set()
    active = most = 0

    def hash_password(_password: str) -> str:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
            names.add(threading.current_thread().name)
        time.sleep(0.005)
        with lock:
            active -= 1
        return "hash"

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(passwords, "hash_password", hash_password)
    hashing = PasswordHasher()
    assert hashing._slots.total_tokens == threads + 1
    await asyncio.gather(*(hashing.hash("correct horse battery staple") for _ in range(40)))
    hashing.close()
    assert most <= threads == hashing._executor._max_workers
    assert all(name.startswith("hashing") for name in names)


async def test_nothing_of_it_is_done_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []

    def note(*_arguments: object, **_options: object) -> None:
        names.append(threading.current_thread().name)

    for function in ("hash_password", "verify_password", "check_password_strength"):
        monkeypatch.setattr(passwords, function, note)
    hashing = PasswordHasher()
    await hashing.hash_new("correct horse battery staple", EMAIL, field="password")
    await hashing.verify("correct horse battery staple", "hash")
    hashing.close()
    assert len(names) == 3
    assert all(name.startswith("hashing") for name in names)
