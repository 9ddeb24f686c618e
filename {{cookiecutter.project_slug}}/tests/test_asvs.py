"""docs/asvs.md has a row for each requirement, tests that exist, and a summary that is right."""

import re

import pytest

from app.core.config import ROOT

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
SUMMARY, *TABLES = re.split(r"^## .+$", TEXT, flags=re.MULTILINE)

# The number of requirements of levels 1 and 2 per section; those of level 3 have the last numbers.
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


def test_every_requirement_has_one_row() -> None:
    expected = [
        f"{section}.{number}"
        for section, count in REQUIREMENTS.items()
        for number in range(1, count + 1)
    ]
    assert sorted(re.findall(r"^\| (\d\.\d\.\d+) ", TEXT, re.MULTILINE)) == sorted(expected)


def test_every_met_requirement_names_a_test() -> None:
    rows = re.findall(r"^\| \d.*", TABLES[0], re.MULTILINE)
    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row] == []


def test_named_tests_exist() -> None:
    existing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", TEXT))
    assert named - existing == set()


def test_summary_counts_the_rows() -> None:
    rows = re.findall(r"^\| V(\d) .+\| (\d+) \| (\d+) \| (\d+) \|$", SUMMARY, re.MULTILINE)
    assert [chapter for chapter, *_ in rows] == ["6", "7", "8", "9"]
    for chapter, *counts in rows:
        counted = [len(re.findall(rf"^\| {chapter}\.", table, re.MULTILINE)) for table in TABLES]
        assert [int(count) for count in counts] == counted, chapter
