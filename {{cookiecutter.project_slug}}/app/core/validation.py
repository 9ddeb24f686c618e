"""Messages of validation errors that don't repeat the input: it may be a password."""

from collections.abc import Mapping
from typing import Any

# Pydantic's messages for these types quote the input.
_MESSAGES = {
    "bytes_invalid_encoding": "Data should be encoded correctly",
    "date_from_datetime_parsing": "Input should be a valid date or datetime",
    "date_parsing": "Input should be a valid date in the format YYYY-MM-DD",
    "datetime_from_date_parsing": "Input should be a valid datetime or date",
    "datetime_object_invalid": "Input should be a valid datetime",
    "datetime_parsing": "Input should be a valid datetime",
    "json_invalid": "Input should be valid JSON",
    "mapping_type": "Input should be a valid object",
    "time_delta_parsing": "Input should be a valid duration",
    "time_parsing": "Input should be a valid time",
    "timezone_offset": "Input should have another time zone offset",
    "union_tag_invalid": "Input should have one of the expected tags",
    "url_parsing": "Input should be a valid URL",
    "url_syntax_violation": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
    "zoneinfo_str": "Input should be a valid time zone",
}
_UNKNOWN = "Input is not valid"
# Other messages with one of these placeholders contain the input, or a parser's words about it.
_QUOTING = {"encoding_error", "error", "reason", "tag", "tz_actual", "unit", "value"}


def describe_error(error: Mapping[str, Any]) -> str:
    """Return the message of one of pydantic's errors (`ValidationError.errors()`).

    A ValueError from a validator keeps its text, unless that quotes the whole input, as Python's
    own errors do (`int("x")`). Don't quote parts of the input in yours.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if isinstance(context.get("error"), Exception):
        message = str(context["error"])
        quotes_input = "input" in error and repr(error["input"])[:40] in message
        return _UNKNOWN if quotes_input else message
    if kind == "value_error" and "reason" in context:
        return "value is not a valid email address"  # EmailStr; the reason quotes the address
    return _UNKNOWN if _QUOTING & context.keys() else str(error["msg"])
