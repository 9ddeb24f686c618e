"""Compare the first page of 100,000 users with the last one, for every sort.

Fails if the last page takes more than twice as long. Its cursor is found as a client finds it: by
following all pages before it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.generated import INSIDE
from dev import clean_environment
from tools.running import program, running, settings_of

USERS = 100_000
LIMIT = 100
ROUNDS = 50
MAX_RATIO = 2
SORTS = ("created_at", "-created_at", "email", "-email")


@dataclass(frozen=True)
class Times:
    sort: str
    pages: int
    first_ms: float
    last_ms: float

    def __str__(self) -> str:
        return (
            f"{self.sort}: page 1 {self.first_ms:.2f} ms, page {self.pages} {self.last_ms:.2f} ms"
        )


class Client:
    """A superuser on one connection that is kept open."""

    def __init__(self, connection: HTTPConnection, settings: dict[str, str]) -> None:
        self._connection = connection
        form = {
            "username": settings["FIRST_SUPERUSER_EMAIL"],
            "password": settings["FIRST_SUPERUSER_PASSWORD"],
        }
        tokens = self._send(
            "POST",
            "/api/v1/auth/token",
            urlencode(form),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        self._headers = {"Authorization": f"Bearer {tokens['access_token']}"}

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Any:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        return json.loads(content)

    def page(self, sort: str, cursor: str | None) -> Any:
        query = {"limit": str(LIMIT), "sort": sort, **({"cursor": cursor} if cursor else {})}
        return self._send("GET", f"/api/v1/users?{urlencode(query)}", None, self._headers)

    def milliseconds(self, sort: str, cursor: str | None) -> float:
        """Return the median time of a page."""
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            self.page(sort, cursor)
            times.append((time.perf_counter() - started) * 1000)
        return statistics.median(times)


def measure(project: Path, users: int) -> list[Times]:
    """Add users to the database of the service in *project*, and time its pages."""
    command = [program(project, "python"), str(INSIDE / "add_users.py"), str(users)]
    env = {**clean_environment(), "LOG_LEVEL": "CRITICAL", "RATE_LIMIT_ENABLED": "false"}
    subprocess.run(command, cwd=project, env={**env, "PYTHONPATH": str(project)}, check=True)
    results = []
    with (
        running(project, env) as server,
        closing(HTTPConnection(server.address.removeprefix("http://"))) as connection,
    ):
        client = Client(connection, settings_of(project))
        for sort in SORTS:
            cursor, pages = None, 1
            while following := client.page(sort, cursor)["next_cursor"]:
                cursor, pages = following, pages + 1
            first, last = client.milliseconds(sort, None), client.milliseconds(sort, cursor)
            results.append(Times(sort, pages, first, last))
            print(results[-1], flush=True)
    return results


def run(project: Path) -> int:
    results = measure(project, USERS - 1)  # the first superuser is there already
    slow = [each.sort for each in results if each.last_ms > MAX_RATIO * each.first_ms]
    if slow:
        print(f"The last page is more than {MAX_RATIO} times slower: {', '.join(slow)}.")
        return 1
    return 0
