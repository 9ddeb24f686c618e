"""Compare the time of a generation without set-up with that of an empty template.

The two alternate, each as a process of its own, and the median ratio of the pairs counts: other
work on the machine slows both down. The times are those of this machine, the ratio travels.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import tempfile
import time
from operator import truediv
from pathlib import Path

from dev import PYTHON, ROOT, clean_environment


def empty_template(folder: Path) -> Path:
    """Make the smallest template that cookiecutter accepts."""
    template = folder / "empty"
    (template / "{{cookiecutter.project_slug}}").mkdir(parents=True)
    (template / "cookiecutter.json").write_text('{"project_slug": "my_service"}', encoding="utf-8")
    return template


def generate(template: Path, answers: list[str]) -> float:
    """Return how many seconds a generation takes."""
    with tempfile.TemporaryDirectory() as folder:
        # The user's own settings and replay files are left alone.
        env = {**clean_environment(), "HOME": folder, "USERPROFILE": folder}
        command = [str(PYTHON), "-m", "cookiecutter", "--no-input", str(template), *answers]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True)
        return time.perf_counter() - start


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=15, help="number of pairs (default: 15)")
    parser.add_argument("--limit", type=float, default=math.inf, help="fail above this ratio")


def run(options: argparse.Namespace) -> int:
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
        del measured[0]  # the first run fills caches
    for name, measured in times.items():
        print(f"{name}: {statistics.median(measured):.3f} s")
    empty, this = times.values()
    ratio = statistics.median(map(truediv, this, empty))
    print(f"ratio: {ratio:.2f}")
    if ratio > options.limit:
        print(f"This is more than the limit of {options.limit:.2f}.")
        return 1
    return 0
