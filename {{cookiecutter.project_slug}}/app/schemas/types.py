"""Types of the fields of schemas."""

import unicodedata
from typing import Annotated, Any

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

from app.core.passwords import MAX_LENGTH, MAX_TYPED_LENGTH

# The same rule as `_no_control_chars`, for readers of the OpenAPI document.
_NO_CONTROL_CHARS = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def _no_control_chars(text: str) -> str:
    # PostgreSQL can't store NUL; other control characters don't belong in one-line text.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not contain control characters")
    return text


# One line of text in any language.
Text = Annotated[
    str,
    AfterValidator(_no_control_chars),
    Field(json_schema_extra={"pattern": _NO_CONTROL_CHARS}),
]

_NO_CONTROL_CHARS_BUT_LINES = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"


def _lines(text: str) -> str:
    _no_control_chars(text.translate({ord("\n"): " ", ord("\r"): " ", ord("\t"): " "}))
    return text.replace("\r\n", "\n")


# Text of several lines, with tabs. Lines end as in Unix.
MultilineText = Annotated[
    str,
    AfterValidator(_lines),
    Field(json_schema_extra={"pattern": _NO_CONTROL_CHARS_BUT_LINES}),
]

# A readable part of an address: `a-first-order`.
Slug = Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]

# A name that people type and mention, in the one form in which it is stored and compared.
UserName = Annotated[
    str,
    Field(max_length=40, pattern=r"^[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*$"),
    AfterValidator(str.lower),
]

# An address of the web, which is safe as a link: no `javascript:`.
WebUrl = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=r"^https?://[A-Za-z0-9]+([.-]+[A-Za-z0-9]+)*(:[0-9]{1,5})?([/?#][^\s<>\"\\^`{|}]*)?$",
    ),
]


def _bare_address(value: Any) -> Any:
    # EmailStr accepts `Ada <ada@example.com>` too, and would drop the name.
    if isinstance(value, str) and "<" in value:
        raise ValueError("must be an address alone, without a name")
    # Mail software decodes `=?utf-8?q?=61da?=@example.com` (RFC 2047), here to Ada's address.
    if isinstance(value, str) and "=?" in value:
        raise ValueError("must not contain an encoded word")
    return value


def _lower_case(address: str) -> str:
    # A letter with an accent may have a composed form in lower case only.
    return unicodedata.normalize("NFC", address.lower())


# An address in the one form in which it is stored and compared.
Email = Annotated[
    EmailStr, Field(max_length=254), BeforeValidator(_bare_address), AfterValidator(_lower_case)
]


def _check_password_characters(password: SecretStr) -> SecretStr:
    _no_control_chars(password.get_secret_value())
    return password


# A service checks it against PasswordPolicy (app/core/passwords.py), which depends on settings.
NewPassword = Annotated[
    SecretStr,
    AfterValidator(_check_password_characters),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            "description": (
                f"At most {MAX_LENGTH} characters, counted after normalisation (NFKC). A password is "
                "rejected if it is short or common, or contains the e-mail address or the name of "
                "this service"
            ),
            "minLength": 1,
            "maxLength": MAX_TYPED_LENGTH,
            "pattern": _NO_CONTROL_CHARS,
        }
    ),
]

_email = TypeAdapter[str](Email)


def parse_email(text: str) -> str | None:
    """Return *text* in the form in which addresses are stored, or None if it isn't an address."""
    try:
        return _email.validate_python(text)
    except ValidationError:
        return None
