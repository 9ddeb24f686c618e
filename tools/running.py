"""Set up and run a generated service, and open it in a browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev import BIN, clean_environment, fatal

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running service, such as `http://127.0.0.1:8000`."""

    address: str
    process: subprocess.Popen[bytes]


def program(project: Path, name: str) -> str:
    """Return the path of a program in the environment of a generated service."""
    return str(project / ".venv" / BIN.name / name)


def settings_of(project: Path) -> dict[str, str]:
    """Read the .env of a generated service."""
    lines = (project / ".env").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: value.strip('"') for name, value in pairs}


def set_up(project: Path) -> None:
    """Make sure that a generated service is set up, or exit.

    Generating one runs the set-up already, but keeps the service when that fails. Running it
    again on a complete service is quick.
    """
    script = [sys.executable, str(project / "scripts" / "setup_environment.py")]
    if subprocess.run(script, env=clean_environment(), capture_output=True, check=False).returncode:
        raise fatal(f"{project} could not be set up; the reason is above.")


def remove_local_postgres(project: Path) -> None:
    """Delete the PostgreSQL files of a service that are outside its folder.

    As root, PostgreSQL keeps its data where its own account can reach them, and the service has
    only a link to that place.
    """
    link = project / "var" / "postgres" / "cluster"
    if link.is_symlink():
        shutil.rmtree(link.resolve())


def free_port(first: int) -> int:
    """Return the first free port from this number on, or any free port for 0."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            if os.name != "nt":
                # A port that a service has just left counts as free. On Windows the option
                # has another meaning.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise fatal(f"no port from {first} to {first + 999} is free.")


def status(url: str) -> int | None:
    """Return the status of a GET request, or None if nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 -- always http
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@contextmanager
def running(
    project: Path,
    env: Mapping[str, str],
    first_port: int = 0,
    *,
    app: str = "app.main:app",
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Run the service in *project* with uvicorn until the end of the block.

    By default on any free port: two processes that look for the next one would find the same.
    """
    port = free_port(first_port)
    command = [program(project, "uvicorn"), app, "--port", str(port), *options]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=project, env=env, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_SECONDS
            while status(f"{address}/readyz") != 200:  # noqa: PLR2004 -- OK
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"the service did not start:\n{log.read()}")
                time.sleep(0.1)
            yield Server(address, process)
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def browse(*arguments: str) -> str:
    """Run a headless browser once and return its output."""
    found = find_browser()
    if found is None:
        raise fatal("no Chromium is installed.")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            found,
            "--headless",
            # Needed as root and in containers. Only our own pages are opened.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            # Time for the page's scripts, in the browser's own clock.
            "--virtual-time-budget=10000",
            f"--user-data-dir={profile}",
            *arguments,
        ]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True, timeout=120
        )
    return done.stdout
