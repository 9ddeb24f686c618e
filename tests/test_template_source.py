"""The template's sources pass its checks, stay valid Python, and render as intended."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from dev import COMMANDS, ROOT, TEMPLATE, clean_environment, in_environment
from hooks.post_gen_project import ONLY_WITH
from tests.conftest import is_copied
from tests.support import BINARY

FILES = sorted(
    path for path in TEMPLATE.rglob("*") if path.is_file() and not path.name.endswith(BINARY)
)
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]


def name_of(path: Path) -> str:
    return path.relative_to(TEMPLATE).as_posix()


@pytest.mark.parametrize("command", COMMANDS["check"], ids=" ".join)
def test_check_passes(command: list[str]) -> None:
    done = subprocess.run(
        in_environment(command),
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_source_is_valid_python_without_jinja_in_imports(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = ast.get_source_segment(source, node) or ""
            assert "{{" not in text, text


def test_double_braces_belong_to_cookiecutter() -> None:
    """Write any others, such as those of an f-string, apart: `{ {`."""
    for path in FILES:
        if not is_copied(name_of(path)):
            text = path.read_text(encoding="utf-8")
            found = re.findall(r"(?<!\$)\{\{(?! cookiecutter\.).*", text)
            assert found == [], name_of(path)


def test_no_block_has_the_default_delimiters() -> None:
    """Cookiecutter wouldn't render it, because cookiecutter.json sets other ones."""
    for path in FILES:
        if path.suffix == ".jinja":  # a template of the service's own
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!# )\{%[-+\s]", text), name_of(path)
        assert not re.search(r"(?<!# )\{#[-+\s]", text), name_of(path)


def test_exactly_the_files_without_answers_are_copied() -> None:
    """Rendering a file takes ten times as long as copying it."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        needs_rendering = re.search(r"# \{[%#]|\{\{ cookiecutter\.", text) is not None
        assert is_copied(name_of(path)) != needs_rendering, name_of(path)


def test_blocks_are_balanced() -> None:
    for path in FILES:
        words = re.findall(r"# \{%[-+]?\s*(\w+)", path.read_text(encoding="utf-8"))
        assert words.count("if") == words.count("endif"), name_of(path)


def test_files_of_answers_exist_and_are_listed_once() -> None:
    paths = [path for paths in ONLY_WITH.values() for path in paths]

    assert [path for path in paths if not (TEMPLATE / path).exists()] == []
    assert len(set(paths)) == len(paths)


def test_names_of_files_are_plain() -> None:
    for path in FILES:
        assert not set(name_of(path)) & set('{}%"<>|?*:\\'), path


def test_no_file_is_git_ignored() -> None:
    """Cookiecutter generates every file in the folder, even caches and private files."""
    paths = [path.relative_to(ROOT).as_posix() for path in FILES]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT,
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == ""


def test_line_endings_do_not_depend_on_the_platform() -> None:
    """Services get the line endings of the checkout, which must not depend on `core.autocrlf`."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    done = subprocess.run(
        ["git", "check-attr", "-z", "--stdin", "text", "eol"],
        cwd=ROOT,
        input=names,
        capture_output=True,
        check=True,
    )
    fields = done.stdout.decode().split("\0")[:-1]
    found = {(fields[at], fields[at + 1]): fields[at + 2] for at in range(0, len(fields), 3)}
    for name in {name for name, _ in found}:
        if name.endswith(BINARY):
            assert found[name, "text"] == "unset", name
        else:
            assert (found[name, "text"], found[name, "eol"]) == ("auto", "lf"), name


def test_tables_of_tests_have_names_that_no_service_uses() -> None:
    """Tests create and drop them in the database that has the owner's tables too."""
    names = []
    for path in (TEMPLATE / "tests").rglob("*.py"):
        text = path.read_text("utf-8")
        names += re.findall(r'__tablename__(?:"|) ?[=:] "(\w+)"', text)
        names += re.findall(r'\bTable\(\s*"(\w+)"', text)
    assert len(names) > 7
    assert [name for name in names if not name.startswith("test_")] == []
