"""Passwords that the list of common ones has."""

from typing import Any

import pytest

from app.core.exceptions import InvalidInputError
from app.core.passwords import PasswordPolicy, _common_passwords
from tests.support import TestSettings

EMAIL = "ada.lovelace@example.com"
POLICY = PasswordPolicy(service_name="Analytical Engine")


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "PaSsWoRd1234",  # listed in lower case
        "Christian007",
        "123456789012",
        "qwertyuiop12",
        "letmeinletmein",
        "aaaaaaaaaaaaaaaa",
        "administrator",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234",  # the first one in full width
    ],
)
def test_common_password_is_rejected(password: str) -> None:
    with pytest.raises(InvalidInputError, match="too common") as caught:
        POLICY.check(password, EMAIL, field="new_password")
    assert caught.value.field == "new_password"
    assert password not in str(caught.value)


def test_common_password_of_8_characters_is_rejected() -> None:
    policy = PasswordPolicy(min_length=8)
    policy.check("kv7Mz2qR", EMAIL, field="password")
    for password in ("password", "1234567890"):
        with pytest.raises(InvalidInputError, match="too common"):
            policy.check(password, EMAIL, field="password")


@pytest.mark.parametrize("password", ["assword1234", "password1234\u00fc"])
def test_part_or_extension_of_a_common_password_is_accepted(password: str) -> None:
    PasswordPolicy(min_length=8).check(password, EMAIL, field="password")


def test_list_has_the_3000_most_common_passwords_of_the_usual_length() -> None:
    """OWASP ASVS 6.2.4 asks for at least 3,000 that match the policy."""
    lines = _common_passwords().decode().splitlines()
    assert sum(len(line) >= PasswordPolicy().min_length for line in lines) > 70_000


def test_common_passwords_are_allowed_by_a_setting() -> None:
    values: dict[str, Any] = {
        "environment": "test",
        "secret_key": "a key for tests that signs nothing else",
        "password_reject_common": False,
    }
    policy = PasswordPolicy.from_settings(TestSettings(**values))
    policy.check("password1234", EMAIL, field="password")
