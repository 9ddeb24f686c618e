"""The pre-generation hook as a program: how answers get into it, and what it prints."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Environment

from dev import ROOT
from hooks import pre_gen_project as hook
from tests.answers.cases import GOOD, INTACT, REJECTED_TEXTS, TEMPLATES
from tests.answers.support import HOOK, OTHER_HOOK, readable, render, resolve

HOSTILE = [
    *INTACT.values(),
    *TEMPLATES.values(),
    *(text for text, _ in REJECTED_TEXTS.values()),
    '"""\nraise SystemExit("code ran")\nr"""',
    '\\"""\nraise SystemExit("code ran")\nr"""',
    "'''\nraise SystemExit('code ran')\nr'''",
    '""',
    '"',
    "\\",
    "\\\\\\",
    "\\N{BULLET} \\x41 \\777",
]


def run(source: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a rendered hook in a new folder."""
    script = folder.parent / "hook.py"
    script.write_bytes(source.encode("utf-8"))
    folder.mkdir()
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


# Rendering


@pytest.mark.parametrize("file", [HOOK, OTHER_HOOK], ids=["pre", "post"])
@pytest.mark.parametrize("text", HOSTILE, ids=readable)
def test_answers_enter_the_hooks_as_data(file: Path, text: str) -> None:
    answers = dict.fromkeys((*GOOD, "_template", "__project_name", text), text)
    source = render(answers, file)
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {"ANSWERS", "GIVEN"}
    }
    assert json.loads(values["ANSWERS"]) == answers
    assert json.loads(values.get("GIVEN", "{}")) == {}
    # The rest of the hook must not look like a template to cookiecutter.
    untouched = file.read_text("utf-8").rpartition('}}"""')[2]
    assert source.endswith(untouched)


def test_old_cookiecutter_renders_the_hook() -> None:
    """Old versions ignore our delimiters, but the hook must run to reject them."""
    old = Environment(keep_trailing_newline=True)  # noqa: S701 -- as cookiecutter makes it
    assert "OLDEST_COOKIECUTTER = (2, 7)" in render(GOOD, environment=old)


# Running


@pytest.mark.parametrize("file", [HOOK, OTHER_HOOK], ids=["pre", "post"])
def test_hook_loads_few_modules(file: Path) -> None:
    code = "import sys; before = {*sys.modules}; sys.path.insert(0, sys.argv[1]); "
    code += f"import hooks.{file.stem}; print(*{{*sys.modules}} - before)"
    loaded = subprocess.run(
        [sys.executable, "-B", "-I", "-S", "-c", code, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(loaded) <= 55, sorted(loaded)


def test_good_answers_are_accepted_silently(tmp_path: Path) -> None:
    result = run(render(resolve()), tmp_path / "x")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (tmp_path / "x" / hook.MARKER).read_text() == hook.MARKER_TEXT


def test_module_next_to_the_hook_is_not_imported(tmp_path: Path) -> None:
    """Cookiecutter runs the hook in a folder that all users share."""
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    assert run(render(resolve()), tmp_path / "x").stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_report_can_be_printed_on_any_terminal(tmp_path: Path, encoding: str) -> None:
    answers = {**resolve(), **GOOD, "_template": "../t", "_output_dir": str(tmp_path)}
    answers |= {
        "__given_slug": "\x1b]0;x\x07",
        "author_name": "Zoë 🚀",
        "project_name": "\ud800\u202e",
    }
    answers |= {"__author_name": "Zoë 🚀", "author_email": "zoë@example.com"}
    result = run(render(answers), tmp_path / "x", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert result.returncode == 1
    assert result.stdout == b""
    message = result.stderr.decode(encoding)
    assert r"project_slug = '\x1b]0;x\x07'" in message
    assert r"project_name = '\ud800\u202e'" in message
    assert r"author_email = 'zo\xeb@example.com'" in message
    assert "Traceback" not in message
    assert not set(message) & set("\x1b\x07\u202e")
    # The command is meant to be copied, so it never contains an escaped name.
    assert ("'author_name=Zoë 🚀'" in message) == (encoding == "utf-8")
    assert ("author_name=" in message) == (encoding == "utf-8")


# The suggested command


def test_command_repeats_accepted_answers_and_suggestions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/here")
    monkeypatch.setattr(hook, "quote", shlex.join)
    answers = {**GOOD, "_template": "gh:o/r", "_output_dir": "/here"}
    answers |= {"_checkout": "v1", "project_name": "A 'b' \"c\"", "__author_name": "evil"}
    wrong = hook.Problem("project_slug", "X", "is wrong", "good")
    computed = hook.Problem("__author_name", "evil", "must not be set")

    message = hook.report([wrong, computed], answers)

    line = next(line for line in message.splitlines() if "gh:o/r" in line)
    assert shlex.split(line) == [
        *("cookiecutter", "gh:o/r", "--checkout", "v1"),
        *("project_name=A 'b' \"c\"", "project_slug=good"),
        *("project_description=It does things.", "author_name=Jane Doe"),
        *("author_email=jane@example.com", "license=MIT", "database=sqlite"),
        *("layer_names=default", "deployment=docker", "ci=github", "telemetry=no"),
        *("setup_environment=no", "init_git=no"),
    ]


@pytest.mark.parametrize(
    ("quote", "option"),
    [
        (shlex.join, "--output-dir '/my code'"),
        (subprocess.list2cmdline, '--output-dir "/my code"'),
    ],
    ids=["posix", "windows"],
)
@pytest.mark.parametrize("started_in", ["/my code", "/other", None])
def test_command_names_the_output_folder_unless_it_is_the_current_one(
    monkeypatch: pytest.MonkeyPatch, quote: object, option: str, started_in: str | None
) -> None:
    monkeypatch.setattr(hook, "quote", quote)
    # On Windows, only shells such as Git Bash set this variable.
    monkeypatch.delenv("PWD", raising=False)
    if started_in is not None:
        monkeypatch.setenv("PWD", started_in)

    line = hook.command_line([], {**GOOD, "_template": "gh:o/r", "_output_dir": "/my code"})

    assert line is not None
    assert (option in line) == (started_in != "/my code")
    assert ("--output-dir" in line) == (option in line)


@pytest.mark.parametrize(
    ("address", "shown"),
    {
        "https://me:secret@host/x": "ADDRESS",
        "https://secret@host/x": "ADDRESS",
        "git+ssh://git:secret@host/x": "ADDRESS",
        "https://host/a@b": "https://host/a@b",
        "git@host:x": "git@host:x",
        "gh:o/r": "gh:o/r",
    }.items(),
    ids=readable,
)
def test_command_shows_no_password(address: str, shown: str) -> None:
    line = hook.command_line([], {**GOOD, "_template": address, "_output_dir": "x"})
    assert line is not None
    assert line.split()[1] == shown


def test_command_is_left_out_when_other_answers_would_not_help() -> None:
    """Cruft passes no template, and a full disk stays full."""
    assert hook.command_line([], GOOD) is None
    full = hook.Problem("free space", "1 MB", "is not enough")
    assert hook.command_line([full], {**GOOD, "_template": "x", "_output_dir": "x"}) is None
