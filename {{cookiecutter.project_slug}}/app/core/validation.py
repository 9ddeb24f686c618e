"""Messages of validation errors that don't repeat the input: it may be a password."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

# Messages of pydantic that quote the input or name things of Python.
_MESSAGES = {
    "bytes_invalid_encoding": "Data should be encoded correctly",
    "dataclass_exact_type": "Input should be a valid object",
    "dataclass_type": "Input should be a valid object",
    "date_from_datetime_parsing": "Input should be a valid date or datetime",
    "date_parsing": "Input should be a valid date in the format YYYY-MM-DD",
    "datetime_from_date_parsing": "Input should be a valid datetime or date",
    "datetime_object_invalid": "Input should be a valid datetime",
    "datetime_parsing": "Input should be a valid datetime",
    "dict_type": "Input should be a valid object",
    "finite_number": "Input should be a finite number of at most 64 bits",
    "frozen_set_type": "Input should be a valid list",
    "get_attribute_error": "Input should be a valid object",
    "import_error": "Input is not valid",
    "is_instance_of": "Input is not valid",
    "is_subclass_of": "Input is not valid",
    "iterable_type": "Input should be a valid list",
    "iteration_error": "Input should be a valid list",
    "json_invalid": "Input should be valid JSON",
    "mapping_type": "Input should be a valid object",
    "model_attributes_type": "Input should be a valid object",
    "model_type": "Input should be a valid object",
    "none_required": "Input should be null",
    "set_type": "Input should be a valid list",
    "time_delta_parsing": "Input should be a valid duration",
    "time_parsing": "Input should be a valid time",
    "timezone_offset": "Input should have another time zone offset",
    "tuple_type": "Input should be a valid list",
    "url_parsing": "Input should be a valid URL",
    "url_syntax_violation": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
    "zoneinfo_str": "Input should be a valid time zone",
}
_UNKNOWN = "Input is not valid"
# Other messages with one of these placeholders contain the input, or a parser's words about it.
_QUOTING = {"encoding_error", "error", "reason", "tag", "tz_actual", "unit", "value"}
_PYDANTIC_TYPES = frozenset(get_args(ErrorType))
# Messages quote between quotation marks, or after a colon.
_QUOTATIONS = re.compile(r"""['"](.{3,}?)['"]|: (.{3,})$""", re.DOTALL)


def describe_error(error: Mapping[str, Any]) -> str:
    """Return the message of one of pydantic's errors (`ValidationError.errors()`).

    A ValueError from a validator keeps its text, unless that repeats the input, as Python's own
    errors do (`int("x")`). Don't quote parts of the input in yours.
    """
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if message := _MESSAGES.get(kind) or _reword(kind, context, value):
        return message
    if isinstance(context.get("error"), Exception):
        message = str(context["error"])
    elif _QUOTING & context.keys():
        return _UNKNOWN
    else:
        message = str(error["msg"])
        if kind in _PYDANTIC_TYPES:
            return message
    return _UNKNOWN if _repeats(message, value) else message


def _reword(kind: str, context: Mapping[str, Any], value: Any) -> str | None:
    if kind == "union_tag_invalid":
        return f"Input should have one of the tags {context['expected_tags']}"
    if kind == "value_error" and "reason" in context:
        return "value is not a valid email address"  # EmailStr; the reason quotes the address
    if kind not in {"too_short", "too_long"}:
        return None
    bound, count = (
        ("least", context["min_length"]) if kind == "too_short" else ("most", context["max_length"])
    )
    # Behind a validator, pydantic no longer knows that it counts characters.
    owner, unit = (
        ("String", "character") if isinstance(value, str) else (context["field_type"], "item")
    )
    return f"{owner} should have at {bound} {count} {unit}{'' if count == 1 else 's'}"


def _repeats(message: str, value: Any) -> bool:
    """Return whether *message* repeats a part of *value*."""
    quoted = [part for match in _QUOTATIONS.finditer(message) for part in match.groups() if part]
    for text in _texts(value):
        start = text[:40]  # messages may shorten the input
        end = "" if len(text) > 40 else r"(?!\w)"
        if start in message and re.search(rf"(?<!\w){re.escape(start)}{end}", message):
            return True
        if any(part in text for part in quoted):
            return True
    return False


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts and numbers within *value*, as messages would show them."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple | set):
            waiting += item
        elif isinstance(item, str | int | float | Decimal) and str(item).strip():
            yield str(item).strip()
