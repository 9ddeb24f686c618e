"""Types of fields. Each is described by a pattern, so that clients can check before they send."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.schemas import types


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        ("Text", "Zoë 🐎", "Zoë 🐎"),
        ("MultilineText", "a\r\nb\n\tc", "a\nb\n\tc"),
        ("Slug", "a-first-order-2", "a-first-order-2"),
        ("UserName", "Ada_L.1-x", "ada_l.1-x"),
        ("WebUrl", "https://a-b.example.com:8000/ä?q=1#x", "https://a-b.example.com:8000/ä?q=1#x"),
        ("WebUrl", "http://localhost", "http://localhost"),
    ],
)
def test_value_is_accepted(kind: str, given: str, stored: str) -> None:
    adapter = TypeAdapter[str](getattr(types, kind))
    assert adapter.validate_python(given) == stored
    assert re.search(adapter.json_schema()["pattern"], given)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("Text", "a\nb"),
        ("Text", "a\x00"),
        ("MultilineText", "a\x00"),
        ("MultilineText", "a\x0bb"),
        ("MultilineText", "a\x85b"),
        ("Slug", ""),
        ("Slug", "A"),
        ("Slug", "a--b"),
        ("Slug", "-a"),
        ("Slug", "a-\n"),
        ("Slug", "a" * 101),
        ("UserName", ""),
        ("UserName", ".ada"),
        ("UserName", "a da"),
        ("UserName", "ädä"),
        ("WebUrl", "javascript:alert(1)"),
        ("WebUrl", "https://"),
        ("WebUrl", "https://user:password@example.com"),
        ("WebUrl", "https://example.com/a b"),
        ("WebUrl", "https://example.com/\n"),
        ("WebUrl", '"https://example.com'),
        ("WebUrl", "/orders"),
    ],
)
def test_value_is_rejected(kind: str, given: str) -> None:
    adapter = TypeAdapter[str](getattr(types, kind))
    with pytest.raises(ValidationError):
        adapter.validate_python(given)
    schema = adapter.json_schema()
    # Python's `$` also matches before a line end, unlike that of JSON Schema.
    pattern = re.sub(r"\$$", r"\\Z", schema["pattern"])
    assert not re.search(pattern, given) or len(given) > schema["maxLength"]


# Those without text in Python.
Price = Annotated[Decimal, types.DecimalText(5, 2)]
Share = Annotated[Decimal, types.DecimalText(2, 2)]
Whole = Annotated[Decimal, types.DecimalText(3, 0)]


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        (Price, "12.5", Decimal("12.50")),
        (Price, "-999.99", Decimal("-999.99")),
        (Share, "0.25", Decimal("0.25")),
        (Whole, "100", Decimal(100)),
        (types.Date, "2026-01-31", date(2026, 1, 31)),
        (types.DateTime, "2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        (types.DateTime, "2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC)),
        (types.Int32, 2**31 - 1, 2**31 - 1),
        (types.Int32, 1.0, 1),
    ],
)
def test_text_becomes_a_value(kind: Any, given: Any, stored: Any) -> None:
    assert repr(TypeAdapter(kind).validate_python(given)) == repr(stored)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Price, 12.5),
        (Price, "1000"),
        (Price, "1.234"),
        (Price, "1e2"),
        (Price, "1\n"),
        (Price, "NaN"),
        (Share, "1.00"),
        (Whole, "1.0"),
        (types.Date, "2026-02-30"),
        (types.Date, "2026-01-31T00:00:00Z"),
        (types.Date, 0),
        (types.DateTime, "2026-01-31T12:00:00"),
        (types.DateTime, "2026-01-31"),
        (types.DateTime, "0001-01-01T00:00:00+01:00"),
        (types.DateTime, 2),
        (types.Int32, 2**31),
        (types.Int32, "1"),
        (types.Int32, 1.5),
        (types.Int32, True),
    ],
)
def test_other_values_are_rejected(kind: Any, given: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(given)


def test_decimal_is_described_by_a_pattern() -> None:
    pattern = TypeAdapter(Price).json_schema()["pattern"]
    assert re.search(pattern, "-12.50")
    assert not re.search(pattern, "1000")
