"""The benchmarks run, with little to measure."""

import subprocess
import sys

import pytest

from app.core.config import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("command", ["load 5 1", "logins 5 1", "middleware 1 10", "pages 500"])
def test_benchmark(command: str) -> None:
    name, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
