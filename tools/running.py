"""A generated service that runs, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev import BIN, stop

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


def program(project: Path, name: str) -> str:
    """Give the path of a program in the environment of a generated service."""
    return str(project / ".venv" / BIN.name / name)


def free_port(first: int) -> int:
    """Give the first free port from this one on; any, when that is 0."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            if os.name != "nt":
                # A port that a service has just left counts as free; on Windows the option
                # means something else.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise stop(f"no port from {first} to {first + 999} is free.")


def status(url: str) -> int | None:
    """Give the status of a GET request, None when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - always http
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@contextmanager
def running(project: Path, env: Mapping[str, str], first_port: int = 0) -> Iterator[str]:
    """Start the service with the command of its README; give its address.

    Any port, unless said otherwise: two processes that look for the next one find the same.
    """
    port = free_port(first_port)
    command = [program(project, "python"), "-m", "app"]
    env = {**env, "PORT": str(port)}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=project, env=env, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while status(f"{address}/readyz") != 200:  # noqa: PLR2004 - OK
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"the service did not start:\n{log.read()}")
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=60)


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def browse(*arguments: str) -> str:
    """Run a browser without a window once; give what it prints."""
    found = find_browser()
    if found is None:
        raise stop("no Chromium is installed.")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            found,
            "--headless",
            # Needed as root and in containers; only our own pages are opened.
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
