"""Which new passwords are accepted."""

import sys
import unicodedata
from typing import Any

import pytest

from app.core.config import PROJECT_NAME
from app.core.exceptions import InvalidInputError
from app.core.passwords import MAX_LENGTH, MAX_TYPED_LENGTH, PasswordPolicy, normalise
from tests.support import TestSettings

EMAIL = "ada.lovelace@example.com"
POLICY = PasswordPolicy(service_name="Analytical Engine")


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
def test_long_unusual_password_is_accepted(password: str) -> None:
    POLICY.check(password, EMAIL, field="password")


@pytest.mark.parametrize(
    ("password", "email"),
    [
        ("ada.lovelace@example.com", EMAIL),
        ("my ADA.Lovelace key", EMAIL),
        ("x" + EMAIL.upper(), EMAIL),
        ("my \ufb01onabell key 77", "\ufb01onabell@example.com"),  # begins with a ligature
        ("my fionabell key 77", "\ufb01onabell@example.com"),
        ("my \uff41\uff44\uff41\uff4d key 77", "adam@example.com"),  # full width
    ],
)
def test_password_with_own_address_is_rejected(password: str, email: str) -> None:
    with pytest.raises(InvalidInputError, match="e-mail address"):
        POLICY.check(password, email, field="password")


@pytest.mark.parametrize("password", ["my ANALYTICAL Engine", "AnalyticalEngine1843"])
def test_password_with_service_name_is_rejected(password: str) -> None:
    with pytest.raises(InvalidInputError, match="name of this service"):
        POLICY.check(password, EMAIL, field="password")
    # A name this short is part of too many passwords.
    PasswordPolicy(service_name="Ana").check(password, EMAIL, field="password")


# Each of the last characters is one when it is typed and three after normalisation, or the reverse.
@pytest.mark.parametrize(
    ("password", "is_accepted"),
    [
        ("vTq8#mZ2kL9", False),
        ("vTq8#mZ2kL9x", True),
        ("vTq8#mZ2k\ufb03", False),
        ("vTq8#mZ2ke\u0301x", False),
        ("x9!kQ2vT" * 16, True),
        ("x9!kQ2vT" * 16 + "x", False),
        ("x9!kQ2vT" * 15 + "x9!kQ2\ufb03", False),
        ("\u0301" * (MAX_TYPED_LENGTH + 1), False),
    ],
)
def test_length_is_12_to_128_characters_by_default(password: str, is_accepted: bool) -> None:
    policy = PasswordPolicy()
    if is_accepted:
        policy.check(password, EMAIL, field="password")
    else:
        with pytest.raises(InvalidInputError, match="must have 12 to 128 characters"):
            policy.check(password, EMAIL, field="password")


def test_minimum_length_is_a_setting() -> None:
    values: dict[str, Any] = {
        "environment": "test",
        "secret_key": "a key for tests that signs nothing else",
        "password_min_length": 8,
    }
    policy = PasswordPolicy.from_settings(TestSettings(**values))
    assert policy.service_name == PROJECT_NAME
    policy.check("kv7Mz2qR", EMAIL, field="password")
    with pytest.raises(InvalidInputError, match="must have 8 to 128 characters"):
        policy.check("kv7Mz2q", EMAIL, field="password")
    with pytest.raises(InvalidInputError, match="e-mail address"):
        policy.check("ada.lovelace", EMAIL, field="password")


@pytest.mark.parametrize(
    "space", [chr(x) for x in range(sys.maxunicode) if unicodedata.category(chr(x)) == "Zs"]
)
def test_normalise_makes_every_space_the_same(space: str) -> None:
    assert normalise(f"correct{space}horse") == "correct horse"


def test_normalise_changes_nothing_the_second_time() -> None:
    everything = [chr(x) for x in range(sys.maxunicode)]
    for begin in range(0, len(everything), 1000):
        text = normalise(" ".join(everything[begin : begin + 1000]))
        assert normalise(text) == text


def test_longest_password_fits_however_it_is_typed() -> None:
    most_code_points = max(
        len(unicodedata.normalize("NFKD", chr(x)))
        for x in range(sys.maxunicode)
        if unicodedata.is_normalized("NFKC", chr(x))
    )
    assert MAX_LENGTH * most_code_points <= MAX_TYPED_LENGTH
