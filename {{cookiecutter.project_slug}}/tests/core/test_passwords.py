import asyncio
from contextlib import AsyncExitStack

import pytest

from app.core.exceptions import InvalidInputError, UnavailableError
from app.core.passwords import PasswordHashing, refuse_guessable_password

EMAIL = "ada.lovelace@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "PassWord1234",
        "123456789012",
        "qwertyuiop12",
        "letmeinletmein",
        "aaaaaaaaaaaaaaaa",
        "aaaaaaaa" * 16,
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234",  # the first one in full width
    ],
)
def test_common_password(password: str) -> None:
    with pytest.raises(InvalidInputError, match="too common") as caught:
        refuse_guessable_password(password, EMAIL, field="password")
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["ada.lovelace@example.com", "my ADA.Lovelace key", "x" + EMAIL.upper()]
)
def test_password_with_the_address(password: str) -> None:
    with pytest.raises(InvalidInputError, match="e-mail address"):
        refuse_guessable_password(password, EMAIL, field="password")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "Test-password-1",
        "\u043a\u043e\u043d\u044c \u0438 \u0431\u0430\u0442\u0430\u0440\u0435\u044f",
        "\U0001f40e" * 2 + "vTq8#mZ",
        "x9!kQ2" * 21,
    ],
)
def test_good_password(password: str) -> None:
    refuse_guessable_password(password, EMAIL, field="password")


async def test_flood_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.passwords._MAX_WAITING", 2)
    hashing = PasswordHashing()

    async def hash_one() -> str:
        async with hashing.turn():
            return await hashing.hash("correct horse battery staple")

    turns = int(hashing._turns.total_tokens)
    results = await asyncio.gather(*(hash_one() for _ in range(turns + 3)), return_exceptions=True)
    assert [type(result) for result in results].count(UnavailableError) == 1


async def test_turn_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.passwords._MAX_WAIT_SECONDS", 0.01)
    hashing = PasswordHashing()
    async with AsyncExitStack() as others:
        for _ in range(int(hashing._turns.total_tokens)):
            await others.enter_async_context(hashing.turn())
        with pytest.raises(UnavailableError):
            await others.enter_async_context(hashing.turn())
    async with hashing.turn():
        """Whoever comes later is not held up by those who gave up."""
