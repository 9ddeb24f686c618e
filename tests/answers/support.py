"""Helpers for the tests of answers: computing answers, rendering hooks, running cookiecutter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from jinja2 import Environment

from dev import ROOT

HOOK = ROOT / "hooks/pre_gen_project.py"
OTHER_HOOK = ROOT / "hooks/post_gen_project.py"

Generate = Callable[..., Path]  # the fixture that generates from good answers with changes


def readable(value: object) -> str:
    """Name a parametrised case after its value."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:30]}...{len(text)}"


def resolve(**answers: object) -> dict[str, Any]:
    """Return all answers as cookiecutter computes them with `--no-input`."""
    context = generate_context(str(ROOT / "cookiecutter.json"), None, answers)
    return dict(prompt_for_config(context, no_input=True))


def render(
    answers: dict[str, Any], file: Path = HOOK, environment: Environment | None = None
) -> str:
    """Render a file of the template, or a hook, as cookiecutter does."""
    env = environment or create_env_with_context({"cookiecutter": resolve()})
    return env.from_string(file.read_text("utf-8")).render(cookiecutter=answers)


def cookiecutter_program(
    folder: Path, home: Path, *arguments: str, typed: str = "", utf8: str = "1"
) -> tuple[int, str]:
    """Run cookiecutter as users do, with a home folder of its own; return its status and output."""
    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(home), "USERPROFILE": str(home), "PYTHONUTF8": utf8},
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return result.returncode, result.stdout


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return the contents of all files by name, and None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
