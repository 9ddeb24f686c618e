"""Parts of the script: explanations, Windows, and old Pythons."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from jinja2 import Environment

from tests.setup.toybox import SCRIPT, Service


@pytest.fixture
def script(service: Service) -> ModuleType:
    script = service.load_script()
    script.write_env()
    return script


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "Unknown."),
        ("one\ntwo\n\nthree\nfour\n", "Unknown.\n    two\n    three\n    four"),
        ("error: Failed to fetch: `x`\n  Caused by: y\n", "The package index can't be reached"),
        (
            "error: No solution found\nhint: `x` was filtered by `exclude-newer` to only include",
            "uv hides locked packages, because of `exclude-newer` in uv.toml or UV_EXCLUDE_NEWER.",
        ),
        ("python: No module named venv", "This Python can't make virtual environments."),
        ("OSError: [Errno 28] No space left on device: '/x'", "The disk is full."),
        ("  \u00d7 Failed\n  \u2570\u2500\u25b6 Hash mismatch for `x==1`", "A package differs"),
        ("Ignoring async-timeout: markers do not match\nERROR: one\n", "Unknown.\n    ERROR: one"),
    ],
)
def test_output_is_explained(script: ModuleType, output: str, expected: str) -> None:
    assert script.explain(io.BytesIO(output.encode()), "Unknown.").startswith(expected)


def test_last_error_of_a_traceback_is_shown(script: ModuleType) -> None:
    output = (
        b"Traceback (most recent call last):\n  File x\nsqlite3.OperationalError: no such table\n"
        b"The above exception was the direct cause of the following exception:\n  File x\n"
        b"sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table\n"
        b"[SQL: CREATE TABLE users (\n\tid INTEGER\n)\n]\n(Background on this error)\n"
    )
    lines = script.explain(io.BytesIO(output), "Unknown.").splitlines()
    assert (
        lines[1] == "    sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table"
    )
    assert len(lines) == 4


def test_long_lines_are_cut(script: ModuleType) -> None:
    assert len(script.explain(io.BytesIO(b"x" * 10_000), "Unknown.")) < 400


def test_commands_for_windows_are_quoted_as_it_expects(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "WINDOWS", True)
    assert script.quote(["python.exe", r"C:\my service\setup.py"]) == (
        r'python.exe "C:\my service\setup.py"'
    )


def test_child_on_windows_is_in_a_group_of_its_own(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Break goes to a whole group, to which this process must not belong."""
    flag = 0x200
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", flag, raising=False)
    start = subprocess.Popen
    flags = []

    def popen(command: list[str], *, creationflags: int, **options: Any) -> subprocess.Popen[bytes]:
        flags.append(creationflags)
        return start(command, **options)

    monkeypatch.setattr(script.subprocess, "Popen", popen)
    script.run(sys.executable, "-c", "")
    assert flags == [flag]


def test_unknown_option_is_an_error(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="2"):
        script.main(["--init-git"])


def test_script_parses_on_old_pythons() -> None:
    ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 8))


def test_script_is_the_same_when_rendered() -> None:
    source = SCRIPT.read_text("utf-8")
    markers = {
        "block_start_string": "# {%",
        "comment_start_string": "# {#",
        "comment_end_string": "#}",
        "keep_trailing_newline": True,
    }
    environment = Environment(**markers)  # type: ignore[arg-type]  # noqa: S701 -- not HTML
    assert environment.from_string(source).render() == source
    assert source.isascii()
