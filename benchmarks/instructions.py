"""Compare the instructions of a request with those of the previous commit.

The services of both commits are generated, and their applications called without a server under
valgrind's callgrind, which counts instructions instead of measuring time: the result is the same
on a busy machine. Needs valgrind (`apt-get install valgrind`) and git.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.generated import INSIDE, generated_service
from dev import ROOT, clean_environment, fatal
from tools.running import program

ROUTES = ("empty route", "current user")
# Requests of each kind that warm up, and those that count.
WARM_UP = 20
COUNTED = 200
TOLERANCE = 0.03


def instructions(project: Path, counts: Sequence[int]) -> int:
    """Count the instructions of a process that sends this many requests to each route."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [program(project, "python"), str(INSIDE / "call_app.py"), *map(str, counts)]
    done = subprocess.run(
        command,
        cwd=project,
        env={**clean_environment(), "PYTHONPATH": str(project), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise fatal(f"the application could not be called:\n{done.stderr[-4000:]}")
    return int(found[1])


def measure(project: Path) -> dict[str, int]:
    """Return the instructions of one request to each route."""
    base = instructions(project, [WARM_UP] * len(ROUTES))
    cost = {}
    for number, route in enumerate(ROUTES):
        counts = [WARM_UP] * len(ROUTES)
        counts[number] += COUNTED
        cost[route] = (instructions(project, counts) - base) // COUNTED
    return cost


def check_out(revision: str, folder: Path) -> Path:
    """Write the template of a commit to a folder."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    if archive.returncode:
        raise fatal(f"there is no commit {revision!r}. In a shallow clone: git fetch --deepen 1")
    folder.mkdir()
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder


def report(before: dict[str, int], after: dict[str, int]) -> int:
    """Print both; return 1 if a route needs more than 3 % more than before."""
    code = 0
    for route in ROUTES:
        growth = after[route] / before[route] - 1
        print(f"{route:14}{before[route]:12,}{after[route]:12,} instructions  {growth:+.1%}")
        if growth > TOLERANCE:
            print(f"{route} needs more than {TOLERANCE:.0%} more instructions than before.")
            code = 1
    return code


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", default="HEAD^", metavar="COMMIT", help="compare with this one (default: HEAD^)"
    )


def run(options: argparse.Namespace) -> int:
    if shutil.which("valgrind") is None:
        raise fatal("this benchmark needs valgrind. Try: apt-get install valgrind")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        earlier = check_out(options.since, folder / "earlier")
        before = measure(stack.enter_context(generated_service("sqlite", earlier)))
        after = measure(stack.enter_context(generated_service("sqlite")))
    return report(before, after)
