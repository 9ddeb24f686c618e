"""Types of fields. Each is described by a pattern, so that clients can check before they send."""

import re

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
