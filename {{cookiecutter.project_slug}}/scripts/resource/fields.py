"""Fields as they are typed: `name:type[:argument][:optional][:unique][:index][=default]`."""

import ast
import keyword
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

MODIFIERS = ("optional", "unique", "index")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_NAME = 30  # names of constraints consist of several names, and PostgreSQL allows 63 characters
MAX_INDEXED = 500  # characters: PostgreSQL's indexes take 2,700 bytes
MAX_TEXT = 10_000
# Patterns of defaults, by types.
DEFAULTS = {
    "int": r"-?\d{1,9}",
    "bool": "true|false",
    "float": r"-?\d+\.\d+",
    "slug": r"[a-z0-9]+(-[a-z0-9]+)*",
}
OF_KIND = ("python", "body", "column", "samples", "make")
RESERVED = {
    # Columns of each resource, and parameters of each list.
    *("id", "created_at", "updated_at", "user", "user_id", "limit", "cursor", "sort"),
    # Attributes of models, and the names of types, which a column would hide in its class.
    *("metadata", "registry", "type_annotation_map", "date", "datetime"),
    *("bool", "dict", "float", "int", "list", "str"),
}


class UsageError(Exception):
    """A mistake in the command, explained in one message. Nothing has been written."""


@dataclass(frozen=True)
class Kind:
    """A type of fields. Those with an argument get the rest from it, in `_parse`."""

    python: str = ""
    """The type in Python, and in responses."""
    body: str = ""
    """The type in requests."""
    column: str = ""
    """The type of the column, where SQLAlchemy needs to know more than Python's type."""
    samples: tuple[Any, Any] = ("", "")
    """Two values in JSON, for tests."""
    wrong: Any = 1.5
    """A value in JSON that is rejected."""
    make: str = ""
    """A different value for each `number`, in Python, for the factory."""
    is_short: bool = True
    """Whether values can be compared and fit into an index."""
    is_filter: bool = False
    """Whether every list has it as a filter. Others are filters if they are unique or indexed."""
    argument: str = ""
    """An example of its argument."""


KINDS = {
    "str": Kind("str", wrong="", argument="40"),
    "text": Kind(
        "str",
        f"Annotated[MultilineText, Field(min_length=1, max_length={MAX_TEXT})]",
        "Text",
        ("first\nline", "other\nline"),
        "",
        'f"line\\n{number}"',
        is_short=False,
    ),
    "int": Kind("int", "Int32", "", (1, 2), "1", "number"),
    "bool": Kind("bool", "StrictBool", "", (True, False), "true", "True", is_filter=True),
    "decimal": Kind("Decimal", wrong=0.5, argument="10.2"),
    "float": Kind(
        "float", "Annotated[float, Field(strict=True)]", "", (1.5, 2.5), "1.5", "float(number)"
    ),
    "date": Kind(
        "date",
        "Date",
        "",
        ("2026-01-31", "2026-02-01"),
        0,
        "date(2026, 1, 1) + timedelta(days=number)",
    ),
    "datetime": Kind(
        "datetime",
        "DateTime",
        "",
        ("2026-01-31T12:00:00Z", "2026-02-01T12:00:00Z"),
        "2026-01-31T12:00:00",
        "datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)",
    ),
    "uuid": Kind(
        "UUID",
        "UUID",
        "",
        ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"),
        "1",
        "UUID(int=number)",
    ),
    "email": Kind(
        "str",
        "Email",
        "String(254)",
        ("first@example.com", "other@example.com"),
        "first",
        'f"{number:06}@example.com"',
    ),
    "url": Kind(
        "str",
        "WebUrl",
        "String(2000)",
        ("https://example.com/1", "https://example.com/2"),
        "example.com",
        'f"https://example.com/{number}"',
        is_short=False,
    ),
    "slug": Kind("str", "Slug", "String(100)", ("first", "other"), "A b", 'f"a-{number:06}"'),
    "enum": Kind(is_filter=True, argument="draft/paid"),
    "json": Kind(
        "dict[str, Any]",
        "dict[str, Any]",
        "JSON",
        ({"first": [1, None]}, {}),
        [],
        '{"number": number}',
        is_short=False,
    ),
    "ref": Kind("UUID", "UUID", wrong="1", is_filter=True, argument="customer"),
    "many": Kind(
        "list[UUID]", "Annotated[list[UUID], Field(max_length=100)]", wrong=["1"], argument="tag"
    ),
}


@dataclass(frozen=True)
class Field:
    """A field of a resource."""

    name: str
    type: str
    argument: str = ""
    optional: bool = False
    unique: bool = False
    index: bool = False
    default: str | None = None
    """As it was typed."""
    python: str = ""
    body: str = ""
    column: str = ""
    samples: tuple[Any, Any] = ("", "")
    make: str = ""

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    @property
    def attribute(self) -> str:
        """Its name in the table, in requests and in responses."""
        if self.type == "many":
            return f"{self.name.removesuffix('s')}_ids"
        return f"{self.name}_id" if self.type == "ref" else self.name

    @property
    def is_required(self) -> bool:
        return not self.optional and self.default is None and self.type != "many"

    @property
    def is_filter(self) -> bool:
        comparable = self.python in {"str", "UUID"}
        return self.kind.is_filter or (comparable and (self.unique or self.index))

    @property
    def default_code(self) -> str:
        """The default in Python."""
        if self.type == "many":
            return "[]"
        if self.default is None:
            return "None"
        match self.type:
            case "bool":
                return self.default.capitalize()
            case "int" | "float":
                return self.default
            case "decimal":
                return f"Decimal({self.default!r})"
            case _:
                return repr(self.default)

    @property
    def default_json(self) -> Any:
        """The default in JSON."""
        if self.type == "many":
            return []
        is_text = self.default is None or self.type not in {"int", "float", "bool"}
        return self.default if is_text else ast.literal_eval(self.default_code)


def parse_field(text: str) -> Field:
    """Read a field. Raises UsageError."""
    definition, equals, default = text.partition("=")
    name, _, rest = definition.partition(":")
    type_, *parts = rest.split(":")
    modifiers = [part for part in parts if part in MODIFIERS]
    arguments = [part for part in parts if part not in MODIFIERS]
    if type_ not in KINDS:
        raise UsageError(f"{text}: the type {type_!r} is unknown; the types are {', '.join(KINDS)}")
    kind = KINDS[type_]
    check_name(name, text)
    if len(arguments) != bool(kind.argument) or parts != arguments + modifiers:
        example = f"{name}:{type_}{kind.argument and ':' + kind.argument}"
        raise UsageError(f"{text}: write {example}, and then any of {', '.join(MODIFIERS)}")
    if len(modifiers) != len(set(modifiers)):
        raise UsageError(f"{text}: a modifier is given twice")
    argument = arguments[0] if arguments else ""
    values = {name: getattr(kind, name) for name in OF_KIND} | _parse(type_, argument, text)
    field = Field(
        name,
        type_,
        argument,
        optional="optional" in modifiers,
        unique="unique" in modifiers,
        index="index" in modifiers,
        default=default if equals else None,
        **values,
    )
    _check(field, text)
    return field


def check_name(name: str, text: str) -> None:
    """Raise UsageError unless fields and resources can have this name."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise UsageError(
            f"{text}: a name is made of lower-case letters, digits and single underscores, begins "
            f"with a letter, and has at most {MAX_NAME} characters"
        )
    if name in RESERVED or keyword.iskeyword(name) or hasattr(BaseModel, name):
        raise UsageError(f"{text}: the name {name!r} is taken by Python, Pydantic or the service")
    if name.startswith("model_"):
        raise UsageError(f"{text}: names that begin with model_ belong to Pydantic")


def _parse(type_: str, argument: str, text: str) -> dict[str, Any]:
    """Return what differs from the type's own values because of the argument."""
    match type_:
        case "str":
            if not re.fullmatch(r"[1-9]\d{0,4}", argument) or int(argument) > MAX_TEXT:
                raise UsageError(f"{text}: a length is a number from 1 to {MAX_TEXT}")
            length = int(argument)
            return {
                "body": f"Annotated[Text, Field(min_length=1, max_length={length})]",
                "column": f"String({length})",
                "samples": ("first"[:length], "other"[:length]),
                "make": f'f"{{number:0{min(length, 6)}}}"',
            }
        case "decimal":
            parts = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", argument)
            digits, places = map(int, parts.groups()) if parts else (0, 0)
            if not 0 <= places <= digits or not 1 <= digits <= 15:
                raise UsageError(
                    f"{text}: write the digits and those after the point, such as 10.2; there are "
                    "at most 15, because SQLite doesn't keep more"
                )
            numbers = [Decimal(number).scaleb(-places) for number in (1, 2)]
            return {
                "body": f"Annotated[Decimal, DecimalText({digits}, {places})]",
                "column": f"Numeric({digits}, {places})",
                "samples": (f"{numbers[0]:f}", f"{numbers[1]:f}"),
                "make": f"Decimal(number).scaleb(-{places})",
            }
        case "enum":
            values = argument.split("/")
            if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}", value) for value in values):
                raise UsageError(f"{text}: the values of an enum are words between slashes")
            if len(values) != len(set(values)) or len(values) < 2:
                raise UsageError(f"{text}: an enum has several values, and each of them once")
            literal = f"Literal[{', '.join(map(repr, values))}]"
            return {
                "python": literal,
                "body": literal,
                "samples": (values[0], values[1]),
                "make": repr(values[0]),
            }
        case _:
            return {}


def _check(field: Field, text: str) -> None:
    kind = field.kind
    if field.type == "many" and (field.optional or field.unique or field.index or field.default):
        raise UsageError(f"{text}: a list of references has no modifiers; it may be empty")
    if field.unique or field.index:
        is_long = field.type == "str" and int(field.argument) > MAX_INDEXED
        if not kind.is_short or is_long:
            raise UsageError(f"{text}: values of this length don't fit into an index")
    if field.unique and field.type in {"bool", "enum", "ref"}:
        raise UsageError(f"{text}: values of this type can't be unique")
    if field.index and (field.optional or field.type in {"bool", "ref", "json"}):
        raise UsageError(
            f"{text}: `index` is for fields that lists are sorted by, which are required; "
            "references have an index anyway"
        )
    if field.default is not None:
        _check_default(field, text)


def _check_default(field: Field, text: str) -> None:
    default = field.default or ""
    if field.optional or field.unique:
        raise UsageError(f"{text}: a field with a default is neither optional nor unique")
    match field.type:
        case "str":
            is_valid = 0 < len(default) <= int(field.argument)
        case "text":
            is_valid = 0 < len(default) <= MAX_TEXT
        case "decimal":
            is_valid = _is_decimal(default, field.argument)
        case "enum":
            is_valid = default in field.argument.split("/")
        case type_:
            is_valid = bool(re.fullmatch(DEFAULTS.get(type_, "(?!)"), default))
    if not is_valid:
        raise UsageError(f"{text}: {default!r} can't be the default of this type")


def _is_decimal(default: str, argument: str) -> bool:
    digits, _, places = argument.partition(".")
    number = re.fullmatch(r"-?(\d+)(?:\.(\d+))?", default)
    whole, fraction = number.groups(default="") if number else ("", "")
    is_short = len(whole.lstrip("0")) <= int(digits or 0) - int(places or 0)
    return bool(number) and is_short and len(fraction) == int(places or 0)
