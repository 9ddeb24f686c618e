"""Types of the fields of schemas."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from annotated_types import GroupedMetadata
from pydantic import (
    AfterValidator,
    AwareDatetime,
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


def _whole(value: Any) -> Any:
    # In JSON, 1.0 is an integer too.
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A number that an integer column takes. Its limits come before the validator: they would not be in the
# OpenAPI document otherwise.
Int32 = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1), BeforeValidator(_whole)]


@dataclass(frozen=True)
class DecimalText(GroupedMetadata):
    """A decimal number as text, such as "12.50", because a number in JSON may lose digits.

    For a column `Numeric(10, 2)`, write `Annotated[Decimal, DecimalText(10, 2)]`.
    """

    digits: int
    places: int

    @property
    def pattern(self) -> str:
        whole = f"[0-9]{{1,{self.digits - self.places}}}" if self.digits > self.places else "0"
        fraction = rf"(\.[0-9]{{1,{self.places}}})?" if self.places else ""
        return f"^-?{whole}{fraction}$"

    def __iter__(self) -> Iterator[Any]:
        yield BeforeValidator(_text_like(self.pattern, "12.50"))
        yield AfterValidator(lambda number: number.quantize(Decimal(1).scaleb(-self.places)))
        yield WithJsonSchema({"type": "string", "pattern": self.pattern})


def _text_like(pattern: str, example: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        # Python's `$` also matches before a line end.
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be a text such as {example}")
        return value

    return check


# Pydantic alone also takes numbers, and times without a zone.
Date = Annotated[date, BeforeValidator(_text_like(r"\d{4}-\d\d-\d\d", "2026-01-31"))]


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is too far in the past or in the future") from None


_TIME = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"

# A point in time (RFC 3339).
DateTime = Annotated[
    AwareDatetime,
    BeforeValidator(_text_like(_TIME, "2026-01-31T12:00:00Z")),
    AfterValidator(_in_utc),
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
