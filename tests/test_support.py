"""The helper that parses every generated file finds broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import parse


@pytest.mark.parametrize(
    ("name", "text"),
    {
        "a.py": "x = (",
        "a.toml": "x =",
        "a.json": "{,}",
        "a.yml": "a: [",
        "a.ini": "a = 1",
        "a.sh": "if true",
        "tool": "#!/usr/bin/env bash\nif true",
        "example.env": "a b = 1",
        "Dockerfile": "FROM x\nRUNN y",
        "a.new": "",
        "README.md": "\udcff",
    }.items(),
)
def test_broken_or_unknown_file_fails_to_parse(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Exception):  # noqa: B017, PT011 -- each parser has its own
        parse(tmp_path / name)
