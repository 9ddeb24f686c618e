"""Types of the members of schemas."""

import unicodedata
from typing import Annotated

from pydantic import (
    AfterValidator,
    EmailStr,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 128


def _storable(text: str) -> str:
    # PostgreSQL stores no NUL, and lone surrogates are not Unicode text.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValueError("must not contain control characters")
    return text


def _acceptable_password(password: SecretStr) -> SecretStr:
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        raise ValueError(f"must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters")
    _storable(password.get_secret_value())
    return password


Text = Annotated[str, AfterValidator(_storable)]
"""One line of any language."""

Email = Annotated[EmailStr, Field(max_length=254), AfterValidator(str.lower)]
"""An address in the one form in which it is stored and compared."""

NewPassword = Annotated[
    SecretStr,
    AfterValidator(_acceptable_password),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            "minLength": MIN_PASSWORD_LENGTH,
            "maxLength": MAX_PASSWORD_LENGTH,
        }
    ),
]
"""No rules of composition (NIST SP 800-63B): length is what makes a password hard to guess."""

_email = TypeAdapter[str](Email)


def find_email(text: str) -> str | None:
    """The address in *text*, None if it is none."""
    try:
        return _email.validate_python(text)
    except ValidationError:
        return None
