"""Passwords that the list of common ones has."""

from typing import Any

import pytest

from app.core.exceptions import InvalidInputError
from app.core.passwords import PasswordPolicy
from tests.support import TestSettings

EMAIL = "ada.lovelace@example.com"
POLICY = PasswordPolicy(service_name="Analytical Engine")


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
def test_common_password_is_rejected(password: str) -> None:
    with pytest.raises(InvalidInputError, match="too common") as caught:
        POLICY.check(password, EMAIL, field="new_password")
    assert caught.value.field == "new_password"
    assert password not in str(caught.value)


def test_list_of_common_passwords_leaves_short_ones_alone() -> None:
    policy = PasswordPolicy(min_length=8)
    policy.check("kv7Mz2qR", EMAIL, field="password")
    with pytest.raises(InvalidInputError, match="too common"):
        policy.check("1234567890", EMAIL, field="password")


def test_common_passwords_are_allowed_by_a_setting() -> None:
    values: dict[str, Any] = {
        "environment": "test",
        "secret_key": "a key for tests that signs nothing else",
        "password_reject_common": False,
    }
    policy = PasswordPolicy.from_settings(TestSettings(**values))
    policy.check("password1234", EMAIL, field="password")
