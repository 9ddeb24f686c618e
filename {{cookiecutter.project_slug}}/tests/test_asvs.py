"""docs/asvs.md lists every requirement once, and names tests that exist."""

import ast
import re
from functools import cache

from app.core.config import ROOT

TEXT = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")

# The number of requirements of levels 1 and 2 in each section. Those of level 3 come last there.
REQUIREMENTS = {
    "6.1": 3,
    "6.2": 12,
    "6.3": 4,
    "6.4": 4,
    "6.5": 5,
    "6.6": 3,
    "6.8": 4,
    "7.1": 3,
    "7.2": 4,
    "7.3": 2,
    "7.4": 5,
    "7.5": 2,
    "7.6": 2,
    "8.1": 2,
    "8.2": 3,
    "8.3": 1,
    "8.4": 1,
    "9.1": 3,
    "9.2": 4,
}


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_named_tests_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_every_requirement_is_listed_once() -> None:
    expected = [
        f"{section}.{number}"
        for section, count in REQUIREMENTS.items()
        for number in range(1, count + 1)
    ]
    assert sorted(re.findall(r"^\| (\d\.\d\.\d+) ", TEXT, re.MULTILINE)) == sorted(expected)


def test_met_requirements_name_their_tests() -> None:
    met = TEXT.partition("## Met")[2].partition("## Not met")[0]
    rows = re.findall(r"^\| \d.*", met, re.MULTILINE)
    assert len(rows) > 30
    assert [row for row in rows if "::" not in row] == []
