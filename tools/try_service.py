"""Generate a service from the working tree of this checkout, and start it.

Answers other than the defaults are given as NAME=VALUE.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from cookiecutter.exceptions import CookiecutterException
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config

from dev import ROOT, fatal, run
from tools.running import free_port, program, set_up

OUTPUT = ROOT / "tmp"


def free_slug(answers: Mapping[str, Any]) -> str:
    """Choose a folder that doesn't exist yet: the slug of the answers, or slug-2, slug-3, ..."""
    context = generate_context(ROOT / "cookiecutter.json", extra_context=dict(answers))
    resolved = prompt_for_config(context, no_input=True)
    slug = str(resolved["__given_slug"])
    if slug != resolved["project_slug"]:
        return slug  # an invalid name: the hook rejects it, and its message names the original
    return next(
        name
        for number in count(1)
        if not (OUTPUT / (name := slug if number == 1 else f"{slug}-{number}")).exists()
    )


def generate(answers: dict[str, Any]) -> Path:
    # No repository by default: the folder is inside the one of this checkout.
    answers = {"init_git": "false", **answers, "project_slug": free_slug(answers)}
    return Path(
        cookiecutter(
            str(ROOT),
            no_input=True,
            extra_context=answers,
            # Use neither the user's own defaults nor their folder of recorded answers.
            default_config={"replay_dir": str(OUTPUT / ".replay")},
            output_dir=str(OUTPUT),
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py try", description=__doc__)
    parser.add_argument(
        "answers", nargs="*", metavar="NAME=VALUE", help="for example database=postgresql"
    )
    options = parser.parse_args()
    answers = dict(text.partition("=")[::2] for text in options.answers)
    known = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    for name in answers:
        if name.startswith("_") or name not in known:
            raise fatal(f"there is no answer called {name!r}.")
    try:
        project = generate(answers)
    except (CookiecutterException, ValueError) as error:
        raise fatal(str(error)) from None
    except KeyboardInterrupt:
        raise fatal("interrupted.") from None
    set_up(project)

    port = free_port(8000)
    print(f"\nStarting the service in {project.relative_to(ROOT).as_posix()}. Ctrl-C stops it.")
    print(f"  http://127.0.0.1:{port}/docs    try the API")
    print(f"  http://127.0.0.1:{port}/readyz  see whether it is ready", flush=True)
    return run([program(project, "uvicorn"), "app.main:app", "--port", str(port)], cwd=project)


if __name__ == "__main__":
    sys.exit(main())
