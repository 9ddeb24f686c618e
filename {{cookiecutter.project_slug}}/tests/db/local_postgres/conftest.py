import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.core.config import ROOT
from tests.db.local_postgres.servers import is_running

USER = """
import sys
from pathlib import Path
from app.db.local_postgres import local_postgres

with local_postgres(Path(sys.argv[1]), durable=False) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def new_directory() -> Iterator[Path]:
    # As root, PostgreSQL runs under another account, which can't reach pytest's own folders.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve() / "postgres"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One folder for all tests of a module, since creating the data takes most of the time."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name).resolve() / "postgres"
        yield path
        assert not is_running(path)


@pytest.fixture
def start_user(directory: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start another process that uses the server until its standard input ends."""
    with ExitStack() as stack:

        def start(**options: Any) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", USER, directory],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **options,
            )
            stack.enter_context(process)
            return process

        yield start
