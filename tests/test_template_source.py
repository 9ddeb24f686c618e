"""The template's own sources: they stay valid Python, and what they refer to exists."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import COMMANDS, ROOT, TEMPLATE, clean_environment, in_environment
from hooks.post_gen_project import ONLY_WITH
from tests.conftest import is_copied

FILES = sorted(path for path in TEMPLATE.rglob("*") if path.is_file())
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]


def name_of(path: Path) -> str:
    return path.relative_to(TEMPLATE).as_posix()


@pytest.mark.parametrize("command", COMMANDS["check"], ids=" ".join)
def test_own_checks_pass(command: list[str]) -> None:
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
def test_raw_file_parses_without_jinja_in_its_imports(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = ast.get_source_segment(source, node) or ""
            assert "{{" not in text, text


def test_braces_are_cookiecutters() -> None:
    """Others, such as those of an f-string, are put apart: `{ {`."""
    for path in FILES:
        if not is_copied(name_of(path)):
            text = path.read_text(encoding="utf-8")
            found = re.findall(r"(?<!\$)\{\{(?! cookiecutter\.).*", text)
            assert found == [], name_of(path)


def test_no_block_in_default_delimiters() -> None:
    """Those would be copied into the generated service as they stand."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!# )\{%[-+\s]", text), name_of(path)
        assert not re.search(r"(?<!# )\{#[-+\s]", text), name_of(path)


def test_what_needs_no_rendering_is_copied_and_nothing_else() -> None:
    """Rendering a file takes cookiecutter ten times as long as copying it."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        needs_rendering = re.search(r"# \{[%#]|\{\{ cookiecutter\.", text) is not None
        assert is_copied(name_of(path)) != needs_rendering, name_of(path)


def test_blocks_are_balanced() -> None:
    for path in FILES:
        words = re.findall(r"# \{%[-+]?\s*(\w+)", path.read_text(encoding="utf-8"))
        assert words.count("if") == words.count("endif"), name_of(path)


def test_files_of_one_answer_exist() -> None:
    paths = [path for paths in ONLY_WITH.values() for path in paths]

    assert [path for path in paths if not (TEMPLATE / path).exists()] == []
    assert len(set(paths)) == len(paths)


def test_names_hold_no_conditions() -> None:
    for path in FILES:
        assert not set(name_of(path)) & set('{}%"<>|?*:\\'), path


def test_no_file_is_git_ignored() -> None:
    """Cookiecutter copies all that is there: caches too, and what only this checkout has."""
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


WORKFLOWS = {path.name: path for path in (ROOT / ".github/workflows").glob("*.yml")}


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    return loaded


def test_ci_runs_on_all_systems_and_pythons() -> None:
    job = workflow("ci.yml")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert matrix.keys() == {"system", "python"}  # nothing is excluded
    assert sorted(name.partition("-")[0] for name in matrix["system"]) == [
        "macos",
        "ubuntu",
        "windows",
    ]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert job["runs-on"] == "${{ matrix.system }}"
    setup = next(step for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"
    assert job["timeout-minutes"] <= 25
    assert "if" not in job
    assert "continue-on-error" not in job


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_may_do_little(name: str) -> None:
    content = workflow(name)
    assert content["permissions"] == {}
    for job in content["jobs"].values():
        assert set(job["permissions"].values()) <= {"read"}
        for step in job["steps"]:
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{'0' * 40}"))


def test_line_endings_are_the_same_everywhere() -> None:
    """Whatever `core.autocrlf` says: services are rendered with the endings of this checkout."""
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
        if name.endswith(".png"):
            assert found[name, "text"] == "unset", name
        else:
            assert (found[name, "text"], found[name, "eol"]) == ("auto", "lf"), name
