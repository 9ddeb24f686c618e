"""PgBouncer in transaction mode with its default settings: every answer is right."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, func, literal, select, text

from app.core.config import ROOT
from app.core.exceptions import UnavailableError
from app.db.engine import make_engine
from app.db.local import local_database
from app.db.session import Database, columns_of
from app.models.user import User
from app.schemas.user import UserRead
from tests.service import environment, free_port
from tests.support import alembic

PGBOUNCER = shutil.which("pgbouncer") or ""

pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="PgBouncer isn't installed")

# Fewer than the service's connections, so that they share sessions of the server.
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server.port} user={server.username} password={server.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


def wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.01)
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
    pytest.fail("PgBouncer doesn't start")


@pytest.fixture(scope="module")
def server_url(shared_directory: Path, worker_id: str) -> Iterator[URL]:
    with local_database(shared_directory, test_process=f"{worker_id}_pooler") as url:
        yield url


@pytest.fixture(scope="module")
def pooler_url(server_url: URL) -> Iterator[URL]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)  # as root, PgBouncer runs under another account
        file = directory / "pgbouncer.ini"
        port = free_port()
        file.write_text(CONFIGURATION.format(server=server_url, port=port))
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = subprocess.Popen([PGBOUNCER, "-q", *account, file])
        try:
            wait_until_listening(port)
            yield server_url.set(port=port)
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def migrated_url(server_url: URL, pooler_url: URL) -> URL:
    address = server_url.set(drivername="postgresql").render_as_string(hide_password=False)
    set_zone = f"ALTER DATABASE \"{server_url.database}\" SET timezone = 'Asia/Kathmandu'"
    with psycopg.connect(address) as connection:
        # A pooler drops what a client sets for its session, so the service must not depend on it.
        connection.execute(set_zone.encode())
    alembic(pooler_url, "upgrade", "head")
    return pooler_url


@pytest.fixture
async def workers(migrated_url: URL) -> AsyncIterator[list[Database]]:
    workers = [Database(make_engine(migrated_url, pool_timeout=30)) for _ in range(2)]
    yield workers
    for worker in workers:
        await worker.engine.dispose()


async def test_concurrent_reads_and_writes_of_several_workers_are_right(
    workers: list[Database],
) -> None:
    async def use(worker: Database, number: int) -> None:
        email = f"user{number}@example.com"
        async with worker.session.begin() as session:
            user = User(email=email, hashed_password="x", full_name="")
            session.add(user)
        for round_ in range(5):
            async with worker.session.begin() as session:
                (await session.get_one(User, user.id)).full_name = f"{number}-{round_}"
                await session.flush()
            reader = worker.read_session
            # Statements of several shapes, which a prepared one of the same name would mix up.
            assert await reader.scalar(select(literal(number))) == number
            whole = select(*columns_of(UserRead, User)).where(User.id == user.id)
            found = await reader.first_as(UserRead, whole)
            assert found is not None
            assert (found.email, found.full_name) == (email, f"{number}-{round_}")
            assert found.created_at == user.created_at
            assert found.created_at.utcoffset() == user.created_at.utcoffset()
            columns = select(User.full_name, User.email).where(User.email == email)
            assert await reader.all(columns) == [(f"{number}-{round_}", email)]

    await asyncio.gather(*(use(workers[number % 2], number) for number in range(20)))


async def test_limits_of_a_transaction_hold(workers: list[Database]) -> None:
    async with workers[0].session.begin() as session:
        assert await session.scalar(text("SHOW statement_timeout")) == "10s"
        assert await session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "20s"
    reader = workers[0].read_session
    assert await reader.scalar(select(func.current_setting("statement_timeout"))) == "0"


async def test_read_that_takes_too_long_is_cancelled_on_the_server(
    migrated_url: URL, workers: list[Database]
) -> None:
    impatient = Database(make_engine(migrated_url, statement_timeout=0.01))
    with pytest.raises(UnavailableError, match="Try again") as caught:
        await impatient.read_session.scalar(select(func.pg_sleep(60)))
    assert "57014" in str(caught.value.reason)
    await impatient.engine.dispose()
    running = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    async with workers[0].session.begin() as session:
        assert await session.scalar(running) == 0


@pytest.mark.slow
async def test_processes_that_migrate_at_once_all_succeed(migrated_url: URL) -> None:
    alembic_ = [sys.executable, "-m", "alembic"]
    settings = environment(migrated_url)

    async def run(*arguments: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *alembic_, *arguments, cwd=ROOT, env=settings, stderr=subprocess.DEVNULL
        )
        return await process.wait()

    assert await run("downgrade", "base") == 0
    assert await asyncio.gather(*(run("upgrade", "head") for _ in range(3))) == [0, 0, 0]
