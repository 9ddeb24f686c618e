"""A PostgreSQL that tests can break, and what clients must see when it is broken."""

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
from sqlalchemy import make_url

from app.core.config import Settings
from app.db.local_postgres import Cluster
from tests.support import (
    AUTH,
    ME,
    PASSWORD,
    USERS,
    UserClient,
    assert_problem,
    sign_up_body,
)

# How soon clients learn that the service is unavailable. Logins and sign-ups may have to wait for
# a slot of the password hasher too. With other tests running, the machine isn't this service's
# alone; `poe faults` runs these tests by themselves.
MAX_SECONDS = 10 if "PYTEST_XDIST_WORKER" in os.environ else 6
MAX_HASHING_SECONDS = 2 * MAX_SECONDS
POOL_SIZE = 3
MAX_CONNECTIONS = 20
# Settings for tests with many requests at once, on a pool as large as in production.
PRODUCTION_POOL: dict[str, Any] = {
    name: Settings.model_fields[name].default
    for name in ("database_pool_size", "database_pool_timeout", "database_statement_timeout")
} | {"rate_limit_enabled": False}


class Server:
    """A PostgreSQL that can be stopped, killed, frozen and started again at its address."""

    def __init__(self, directory: Path, url: str) -> None:
        self._cluster = Cluster(directory, durable=False)
        self.url = make_url(url)
        self.stop()
        self.start()

    def start(self) -> None:
        options = f"-p {self.url.port} -c max_connections={MAX_CONNECTIONS}"
        data, log = str(self._cluster.data), str(self._cluster.log)
        self._cluster.run("pg_ctl", "start", "-D", data, "-l", log, "-w", "-o", options)

    def stop(self) -> None:
        self._cluster.stop()

    def processes(self) -> list[Any]:
        pid = int((self._cluster.data / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(pid)
        return [process, *process.children()]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep its connections open and let it take new ones, but never answer."""
        processes = self.processes()
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def kill(self) -> None:
        processes = self.processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    async def connect(self) -> psycopg.AsyncConnection:
        """Open a connection that isn't one of the service's."""
        url = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return await psycopg.AsyncConnection.connect(url, autocommit=True)

    async def terminate_connections(self) -> None:
        async with await self.connect() as administrator:
            await administrator.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )


async def assert_unavailable(
    request: Coroutine[Any, Any, httpx2.Response], *, seconds: float = MAX_SECONDS
) -> None:
    started = time.monotonic()
    # In a task of its own: Python 3.11 may stop tracing a task in which a wait has timed out.
    response = await asyncio.create_task(request)
    assert time.monotonic() - started < seconds
    assert_problem(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1


async def assert_everything_unavailable(client: UserClient) -> None:
    """Send more requests than there are connections, logins and sign-ups among them."""
    form = {"username": client.email, "password": PASSWORD}
    account = sign_up_body("bob@example.com")
    logins = (client.post(f"{AUTH}/token", data=form) for _ in range(5))
    sign_ups = (client.post(USERS, json=account) for _ in range(5))
    await asyncio.gather(
        *(assert_unavailable(client.get(ME)) for _ in range(30)),
        *(
            assert_unavailable(request, seconds=MAX_HASHING_SECONDS)
            for request in (*logins, *sign_ups)
        ),
    )


async def assert_works(client: UserClient) -> None:
    """Check that the first answer is right and that no connection of the pool is broken."""
    started = time.monotonic()
    assert (await client.get("/readyz")).status_code == 200
    assert time.monotonic() - started < MAX_SECONDS / 2
    for _ in range(3):
        requests = (client.get(ME) for _ in range(POOL_SIZE))
        assert {response.status_code for response in await asyncio.gather(*requests)} == {200}
