"""Run the service as a process, as it runs in production."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from sqlalchemy import URL

from app.core.config import ROOT

SECRET_KEY = "a key for tests that signs nothing else"
PROGRAMS = Path(sys.executable).parent
START_SECONDS = 30


@dataclass(frozen=True)
class Service:
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_alive(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with httpx2.Client() as client:  # making a client takes longer than a request
            while True:
                try:
                    client.get(f"{self.address}/livez")
                except httpx2.TransportError:
                    assert time.monotonic() < deadline, self.log.read_text()
                    time.sleep(0.05)
                else:
                    return


def environment(url: URL, **settings: str) -> dict[str, str]:
    """Return the environment of a process that uses this database.

    Coverage is not measured there: it would make the service several times slower.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {
        **own,
        "ENVIRONMENT": "test",
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "LOG_FORMAT": "json",
        "RATE_LIMIT_ENABLED": "false",
        **settings,
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running_service(
    url: URL,
    directory: Path,
    *,
    command: Sequence[str] = ("python", "-m", "app"),
    port: int | None = None,
    **settings: str,
) -> Iterator[Service]:
    """Run the service with *settings*; its log is in *directory*.

    Another *command* than `python -m app` names a program of this environment. `{port}` in it
    stands for the port.
    """
    port = port or free_port()
    log = directory / f"service-{port}.log"
    program, *arguments = [part.format(port=port) for part in command]
    variables = environment(url, **{"HOST": "127.0.0.1", "PORT": str(port), **settings})
    with log.open("ab") as output:
        process = subprocess.Popen(
            [PROGRAMS / program, *arguments], cwd=ROOT, env=variables, stdout=output, stderr=output
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        service.wait_until_alive()
        yield service
    finally:
        if process.poll() is None:
            # The whole tree: a server's workers would outlive it.
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait()
