"""Messages of validation errors never quote the input."""

import datetime as dt
import ipaddress
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    AnyUrl,
    Base64Bytes,
    BaseModel,
    ByteSize,
    EmailStr,
    Field,
    Json,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError, PydanticKnownError
from pydantic_core._pydantic_core import list_all_errors  # which has no public name

from app.core.validation import describe_error

SECRET = "s3cr3t"
# Placeholders that pydantic fills from the schema, or with a count of items.
FROM_THE_SCHEMA = """
    actual_length attribute class class_name decimal_places discriminator encoding expected
    expected_schemes expected_tags expected_version field_type ge gt le lt max_digits max_length
    method_name min_length multiple_of pattern tz_expected whole_digits
""".split()  # noqa: SIM905 -- easier to read than a list
# All but those whose text is that of a validator; see below.
ERRORS = [e for e in list_all_errors() if e["type"] not in {"assertion_error", "value_error"}]


def message(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(value)
    return describe_error(raised.value.errors()[0])


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error["type"]))
def test_no_message_of_pydantic_quotes_the_input(error: Any) -> None:
    context: dict[str, Any] = error["example_context"] or {}
    for name in context.keys() - FROM_THE_SCHEMA:
        context[name] = 4711 if isinstance(context[name], int) else SECRET
    text = PydanticKnownError(error["type"], context or None).message()
    described = describe_error({"type": error["type"], "msg": text, "ctx": context})
    assert described
    assert SECRET not in described
    assert "4711" not in described


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


Pets = Annotated[Cat | Dog, Field(discriminator="kind")]
Name = Annotated[str, AfterValidator(str), Field(min_length=1, max_length=3)]


def reject(_number: int) -> int:
    raise ValueError("must be even")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (dt.date, SECRET),
        (dt.datetime, SECRET),
        (dt.time, SECRET),
        (dt.timedelta, SECRET),
        (UUID, SECRET),
        (AnyUrl, SECRET),
        (ZoneInfo, SECRET),
        (ipaddress.IPv4Address, SECRET),
        (EmailStr, f"{SECRET}@{SECRET}"),
        (EmailStr, f"a@b.{SECRET}("),
        (Annotated[Any, Json], SECRET),
        (ByteSize, f"1 {SECRET}"),
        (Base64Bytes, f"{SECRET}="),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": SECRET}),
        (Literal["a"], SECRET),
        (bool, SECRET),
        (int, SECRET),
        (float, SECRET),
    ],
)
def test_input_is_not_quoted(kind: Any, value: Any) -> None:
    assert SECRET not in message(kind, value)


@pytest.mark.parametrize("value", [SECRET, SECRET * 100], ids=["short", "long"])
def test_message_of_python_that_quotes_the_input_is_dropped(value: str) -> None:
    assert message(Annotated[str, AfterValidator(int)], value) == "Input is not valid"


def repeat(text: Any) -> Any:
    raise ValueError(f"{text} is taken")


def repeat_the_end(text: str) -> str:
    raise ValueError(f"unconverted data remains: {text[2:]}")


def repeat_in_quotes(text: str) -> str:
    raise ValueError(f"no '{text[:4]}' please")


def repeat_a_value(values: Any) -> Any:
    raise PydanticCustomError("mine", "not {value} please", {"value": SECRET})


def repeat_without_context(values: Any) -> Any:
    raise PydanticCustomError("mine", f"not {SECRET} please")


def fail_an_assertion(text: str) -> str:
    raise AssertionError(f"no {text}")


@pytest.mark.parametrize(
    ("validator", "value"),
    [
        (repeat, SECRET),
        (repeat, 4711),
        (repeat_the_end, SECRET),
        (repeat_in_quotes, SECRET),
        (repeat_a_value, SECRET),
        (repeat_without_context, SECRET),
        (repeat_without_context, {"a": [1, SECRET]}),
        (fail_an_assertion, SECRET),
    ],
)
def test_message_of_a_validator_that_repeats_the_input_is_dropped(
    validator: Any, value: Any
) -> None:
    assert message(Annotated[Any, AfterValidator(validator)], value) == "Input is not valid"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Pets, {"kind": SECRET}, "Input should have one of the tags 'cat', 'dog'"),
        (Name, "", "String should have at least 1 character"),
        (Name, "x" * 4, "String should have at most 3 characters"),
        (Annotated[list[int], Field(min_length=2)], [], "List should have at least 2 items"),
        (Cat, SECRET, "Input should be a valid object"),
        (dict[str, int], SECRET, "Input should be a valid object"),
        (None, SECRET, "Input should be null"),
    ],
)
def test_messages_are_in_words_of_json(kind: Any, value: Any, expected: str) -> None:
    assert message(kind, value) == expected


def test_useful_messages_stay() -> None:
    assert message(Annotated[int, AfterValidator(reject)], 3) == "must be even"
    assert message(Annotated[int, Field(gt=7)], 3) == "Input should be greater than 7"
    assert message(EmailStr, "ada") == "value is not a valid email address"
    assert message(Literal["cat"], "dog") == "Input should be 'cat'"
    assert message(UUID, "x") == "Input should be a valid UUID"
    without_input = {"type": "value_error", "msg": "", "ctx": {"error": ValueError("is None")}}
    assert describe_error(without_input) == "is None"
