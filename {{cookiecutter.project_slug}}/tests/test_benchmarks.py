"""`poe load` works, for a short time."""

import subprocess
import sys

import pytest

from app.core.config import ROOT


@pytest.mark.slow
def test_load_is_reported() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "5", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "read 200: " in done.stdout
    assert "lost: 0" in done.stdout
