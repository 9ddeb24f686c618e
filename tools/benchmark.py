"""Measure how long a generation without set-up takes, beside that of an empty template.

Both are run in turns, as a user does, and what counts is the median of the pairs: other work of
the machine slows both down. Read the ratio, the times are those of this machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from operator import truediv
from pathlib import Path

from dev import PYTHON, ROOT, clean_environment


def empty_template(folder: Path) -> Path:
    """The least that cookiecutter takes for a template."""
    template = folder / "empty"
    (template / "{{cookiecutter.project_slug}}").mkdir(parents=True)
    (template / "cookiecutter.json").write_text('{"project_slug": "my_service"}', encoding="utf-8")
    return template


def generate(template: Path, answers: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        # The user's own settings and replay files are left alone.
        env = {**clean_environment(), "HOME": folder, "USERPROFILE": folder}
        command = [str(PYTHON), "-m", "cookiecutter", "--no-input", str(template), *answers]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True)
        return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py benchmark", description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--limit", type=float, default=math.inf, help="fail above this ratio")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subjects: dict[str, tuple[Path, list[str]]] = {
            "empty template": (empty_template(Path(folder)), []),
            "this template": (ROOT, ["setup_environment=no", "init_git=no"]),
        }
        times: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(options.runs + 1):
            for name, subject in subjects.items():
                times[name].append(generate(*subject))
    for measured in times.values():
        del measured[0]  # the first fills caches
    for name, measured in times.items():
        print(f"{name}: {statistics.median(measured):.3f} s")
    empty, this = times.values()
    ratio = statistics.median(map(truediv, this, empty))
    print(f"ratio: {ratio:.2f}")
    if ratio > options.limit:
        print(f"more than the limit of {options.limit:.2f}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
