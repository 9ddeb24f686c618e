"""Types of the members of schemas."""

import unicodedata
from typing import Annotated, Any

import email_validator
from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from app.core.security import MAX_TYPED_LENGTH, normalise_password

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 128


def _no_control_chars(text: str) -> str:
    # PostgreSQL stores no NUL, and the others are at home on no line.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not contain control characters")
    return text


def _acceptable_password(password: SecretStr) -> SecretStr:
    typed = password.get_secret_value()
    # Most ways of typing a character take more code points than what is hashed, some take fewer.
    length = len(normalise_password(typed)) if len(typed) <= MAX_TYPED_LENGTH else len(typed)
    if min(len(typed), length) < MIN_PASSWORD_LENGTH or length > MAX_PASSWORD_LENGTH:
        raise ValueError(f"must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters")
    _no_control_chars(typed)
    return password


_NO_CONTROL_CHARACTERS = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""The same rule for readers of the OpenAPI document."""

Text = Annotated[
    str,
    AfterValidator(_no_control_chars),
    Field(json_schema_extra={"pattern": _NO_CONTROL_CHARACTERS}),
]
"""One line of any language."""

# RFC 6761 reserves .test for tests, which need addresses that never belong to anybody.
email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("test")


def _bare_address(value: Any) -> Any:
    # EmailStr takes `Ada <ada@example.com>` as well, and would drop the name.
    if isinstance(value, str) and "<" in value:
        raise ValueError("must be an address alone, without a name")
    # Software for mail decodes `=?utf-8?q?=61da?=@example.com` (RFC 2047): it is Ada's address to some.
    if isinstance(value, str) and "=?" in value:
        raise ValueError("must not hold an encoded word")
    return value


def _in_lower_case(address: str) -> str:
    # A letter with an accent may have a composed form in lower case only.
    return unicodedata.normalize("NFC", address.lower())


Email = Annotated[
    EmailStr, Field(max_length=254), BeforeValidator(_bare_address), AfterValidator(_in_lower_case)
]
"""An address in the one form in which it is stored and compared."""

NewPassword = Annotated[
    SecretStr,
    AfterValidator(_acceptable_password),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            "description": (
                f"{MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters, counted after "
                "normalisation (NFKC)"
            ),
            "minLength": MIN_PASSWORD_LENGTH,
            "maxLength": MAX_TYPED_LENGTH,
            "pattern": _NO_CONTROL_CHARACTERS,
        }
    ),
]
"""No rules of composition (NIST SP 800-63B): length is what makes a password hard to guess."""

_email = TypeAdapter[str](Email)


def parse_email(text: str) -> str | None:
    """The address in *text*, None if it is none."""
    try:
        return _email.validate_python(text)
    except ValidationError:
        return None
