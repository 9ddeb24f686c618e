"""Faults of a real PostgreSQL: what clients see meanwhile, and that the service recovers by itself."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no types
import httpx2
import psutil
import pytest
from fastapi import FastAPI
from sqlalchemy import URL, make_url, text

from app.core import passwords
from app.core.config import Settings
from app.db import local_postgres as module
from app.db.local_postgres import local_postgres
from app.db.session import CONNECT_TIMEOUT_SECONDS, PING_TIMEOUT_SECONDS, Database
from app.dependencies.get_db import SessionDep
from app.dependencies.resources import Resources
from app.models import User
from tests.support import PASSWORD, alembic, sign_up

pytestmark = pytest.mark.slow

ME = "/api/v1/users/me"
# What is promised. Beside other tests, the machine is not this service's alone; `poe faults` runs these
# by themselves.
MAX_SECONDS = 10 if "PYTEST_XDIST_WORKER" in os.environ else 2
POOL_SIZE = 3
MAX_CONNECTIONS = 20
# Read before `patience` in tests/conftest.py changes them.
LIMITS = {
    "app.core.passwords._MAX_WAIT_SECONDS": passwords._MAX_WAIT_SECONDS,
    "app.db.session.CONNECT_TIMEOUT_SECONDS": CONNECT_TIMEOUT_SECONDS,
    "app.db.session.PING_TIMEOUT_SECONDS": PING_TIMEOUT_SECONDS,
}
AS_IN_PRODUCTION = {
    name: Settings.model_fields[name].default
    for name in ("database_pool_size", "database_pool_timeout", "database_statement_timeout")
}


class Server:
    """A PostgreSQL that can be stopped, killed and started again at its address."""

    def __init__(self, directory: Path, url: str) -> None:
        self._cluster = module._Cluster(directory, durable=False)
        self.url = make_url(url)
        self.stop()
        self.start()

    def start(self) -> None:
        options = f"-p {self.url.port} -c max_connections={MAX_CONNECTIONS}"
        data, log = str(self._cluster.data), str(self._cluster.log)
        self._cluster._run("pg_ctl", "start", "-D", data, "-l", log, "-w", "-o", options)

    def stop(self) -> None:
        self._cluster.stop()

    def processes(self) -> list[Any]:
        pid = int((self._cluster.data / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(pid)
        return [process, *process.children()]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its connections stay open, and it takes new ones, but it answers nobody."""
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

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection of an administrator, beside those of the service."""
        url = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # pytest's own folders are closed to the account that PostgreSQL has when root runs the tests.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        directory = Path(name).resolve() / "postgres"
        with local_postgres(directory, durable=False) as url:
            yield Server(directory, url)


@pytest.fixture(scope="module")
def migrated_database_url(server: Server) -> URL:
    alembic(server.url, "upgrade", "head")
    return server.url


@pytest.fixture(autouse=True)
def limits_of_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have longer, is measured here."""
    for name, value in LIMITS.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
def settings_values() -> dict[str, Any]:
    return {
        "database_pool_size": POOL_SIZE,
        "database_pool_timeout": 0.5,
        "database_statement_timeout": 1,
    }


async def assert_unavailable(request: Any) -> None:
    started = time.monotonic()
    response = await request
    assert time.monotonic() - started < MAX_SECONDS
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert int(response.headers["Retry-After"]) >= 1


async def assert_all_unavailable(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    """More requests than there are connections, and few enough for a machine with other work to do;
    logins and sign-ups among them.
    """
    form = {"username": "ada@example.com", "password": PASSWORD}
    account = {"email": "bob@example.com", "password": PASSWORD}
    await asyncio.gather(
        *(assert_unavailable(client.get(ME, headers=headers)) for _ in range(30)),
        *(assert_unavailable(client.post("/api/v1/auth/token", data=form)) for _ in range(5)),
        *(assert_unavailable(client.post("/api/v1/users", json=account)) for _ in range(5)),
    )


async def assert_works(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    """The first answer is right, and no connection of the pool is a broken one."""
    started = time.monotonic()
    assert (await client.get("/readyz")).status_code == 200
    assert time.monotonic() - started < MAX_SECONDS / 2
    for _ in range(3):
        requests = (client.get(ME, headers=headers) for _ in range(POOL_SIZE))
        assert {response.status_code for response in await asyncio.gather(*requests)} == {200}


async def test_stopped_and_started_again(
    client: httpx2.AsyncClient, user_headers: dict[str, str], server: Server
) -> None:
    await assert_works(client, user_headers)
    server.stop()
    try:
        assert (await client.get("/livez")).status_code == 200
        await assert_unavailable(client.get("/readyz"))
        form = {"username": "ada@example.com", "password": PASSWORD}
        account = {"email": "bob@example.com", "password": PASSWORD}
        await assert_unavailable(client.post("/api/v1/auth/token", data=form))
        await assert_unavailable(client.post("/api/v1/users", json=account))
        many = (assert_unavailable(client.get(ME, headers=user_headers)) for _ in range(8))
        await asyncio.gather(*many)
    finally:
        server.start()
    await assert_works(client, user_headers)


async def test_restarted_between_requests(
    client: httpx2.AsyncClient, user_headers: dict[str, str], server: Server
) -> None:
    await assert_works(client, user_headers)
    server.stop()
    server.start()
    await assert_works(client, user_headers)


async def test_killed_in_a_transaction(
    app: FastAPI, client: httpx2.AsyncClient, user_headers: dict[str, str], server: Server
) -> None:
    @app.post("/kill", include_in_schema=False)
    async def kill(session: SessionDep) -> None:
        session.add(User(email="lost@example.com", hashed_password="x"))
        await session.flush()
        server.kill()

    response = await client.post("/kill")
    server.start()
    assert response.status_code == 503
    await assert_works(client, user_headers)
    await sign_up(client, "lost@example.com")


async def test_connections_terminated(
    app: FastAPI, client: httpx2.AsyncClient, user_headers: dict[str, str], server: Server
) -> None:
    async def terminate() -> None:
        async with server.connection() as administrator:
            await administrator.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    @app.post("/terminate", include_in_schema=False)
    async def terminate_this(session: SessionDep) -> None:
        await session.execute(text("SELECT 1"))
        await terminate()

    await assert_works(client, user_headers)
    await terminate()
    await assert_works(client, user_headers)
    await assert_unavailable(client.post("/terminate"))
    await assert_works(client, user_headers)


@pytest.mark.parametrize("settings_values", [AS_IN_PRODUCTION | {"rate_limit_enabled": False}])
async def test_pool_exhausted(
    resources: Resources, app: FastAPI, client: httpx2.AsyncClient, user_headers: dict[str, str]
) -> None:
    database: Database = resources.database
    async with asyncio.TaskGroup() as tasks:
        release = asyncio.Event()

        async def hold() -> None:
            async with database.session() as session:
                await session.execute(text("SELECT 1"))
                await release.wait()

        for _ in range(resources.settings.database_pool_size):
            tasks.create_task(hold())
        await asyncio.sleep(0.2)
        await assert_all_unavailable(client, user_headers)
        release.set()
    await assert_works(client, user_headers)


async def test_query_that_hangs(
    app: FastAPI, client: httpx2.AsyncClient, user_headers: dict[str, str]
) -> None:
    @app.post("/hang", include_in_schema=False)
    async def hang(session: SessionDep) -> None:
        await session.execute(text("SELECT pg_sleep(60)"))

    await assert_unavailable(client.post("/hang"))
    await assert_works(client, user_headers)


async def test_max_connections_reached(
    resources: Resources,
    app: FastAPI,
    client: httpx2.AsyncClient,
    user_headers: dict[str, str],
    server: Server,
) -> None:
    database: Database = resources.database
    await database.engine.dispose()
    others = []
    try:
        while True:
            url = server.url.set(drivername="postgresql").render_as_string(hide_password=False)
            others.append(await asyncpg.connect(url))
    except asyncpg.TooManyConnectionsError:
        await assert_unavailable(client.get(ME, headers=user_headers))
        await assert_unavailable(client.get("/readyz"))
    for connection in others:
        await connection.close()
    await assert_works(client, user_headers)


async def test_commit_that_fails(client: httpx2.AsyncClient, server: Server) -> None:
    """The database accepts the row and refuses the commit."""
    async with server.connection() as administrator:
        await administrator.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION ''refused''; END';"
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        account = {"email": "bob@example.com", "password": PASSWORD}
        response = await client.post("/api/v1/users", json=account)
        await administrator.execute("DROP TRIGGER refuse ON users; DROP FUNCTION refuse()")
        assert response.status_code == 500
        assert await administrator.fetchval("SELECT count(*) FROM users") == 0
    await sign_up(client, "bob@example.com")


@pytest.mark.parametrize("settings_values", [AS_IN_PRODUCTION | {"rate_limit_enabled": False}])
async def test_server_that_does_not_answer(
    client: httpx2.AsyncClient, user_headers: dict[str, str], server: Server
) -> None:
    await assert_works(client, user_headers)
    with server.frozen():
        assert (await client.get("/livez")).status_code == 200
        for _ in range(2):
            await assert_unavailable(client.get("/readyz"))
            await assert_all_unavailable(client, user_headers)
    await assert_works(client, user_headers)


async def test_server_that_stops_answering_in_a_statement(
    app: FastAPI, client: httpx2.AsyncClient, user_headers: dict[str, str], server: Server
) -> None:
    """It can't keep its own statement timeout."""

    @app.post("/hang", include_in_schema=False)
    async def hang(session: SessionDep) -> None:
        await session.execute(text("SELECT pg_sleep(60)"))

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        request = tasks.create_task(client.post("/hang"))
        await asyncio.sleep(0.3)
        with server.frozen():
            response = await request
    assert response.status_code == 503
    await assert_works(client, user_headers)


async def test_limits_of_a_connection(resources: Resources, app: FastAPI) -> None:
    """The server ends by itself what a service has left behind that was killed."""
    async with resources.database.read_session() as session:
        connection = await session.connection()
        for name, expected in {
            "statement_timeout": "1s",
            "idle_in_transaction_session_timeout": "2s",
        }.items():
            result = await connection.exec_driver_sql(f"SHOW {name}")
            assert result.scalar_one() == expected


@pytest.mark.parametrize("settings_values", [AS_IN_PRODUCTION])
async def test_ready_in_time_or_not_at_all(client: httpx2.AsyncClient, server: Server) -> None:
    async with server.connection() as administrator, administrator.transaction():
        await administrator.execute("LOCK TABLE alembic_version")
        await assert_unavailable(client.get("/readyz"))
    assert (await client.get("/readyz")).status_code == 200
