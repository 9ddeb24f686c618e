"""A server turns read-only, as a primary does that has become a standby."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url, select

from app.core.config import ROOT
from app.core.database_url import normalize_database_url
from app.core.exceptions import UnavailableError
from app.db.engine import make_engine
from app.db.local_postgres import local_postgres
from app.db.session import Database
from app.models.user import User
from tests.faults.postgres.server import Server, assert_unavailable, assert_works
from tests.support import ME, UserClient, alembic

pytestmark = pytest.mark.slow


@asynccontextmanager
async def read_only(server: Server) -> AsyncIterator[None]:
    async with await server.connect() as administrator, await server.connect() as observer:

        async def change(value: str) -> None:
            await administrator.execute(
                f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode()
            )
            await administrator.execute("SELECT pg_reload_conf()")
            # The server's processes notice it one after another.
            seen = None
            while seen != (value,):
                await asyncio.sleep(0.01)
                cursor = await observer.execute("SHOW default_transaction_read_only")
                seen = await cursor.fetchone()
            await asyncio.sleep(0.1)

        await administrator.execute("SET default_transaction_read_only = off")
        await change("on")
        try:
            yield
        finally:
            await change("off")


@pytest.fixture(scope="module")
def standby(server: Server) -> Iterator[URL]:
    """A second server with the same schema and password."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with local_postgres(Path(name).resolve() / "postgres", durable=False) as url:
            alembic(make_url(url), "upgrade", "head")
            with psycopg.connect(url.replace("+psycopg", "")) as connection:
                connection.execute(f"ALTER ROLE postgres PASSWORD '{server.url.password}'".encode())
            yield make_url(url)


async def test_write_on_a_read_only_server_gives_503_until_it_is_writable(
    ada: UserClient, server: Server
) -> None:
    assert (await ada.patch(ME, json={"full_name": "Ada"})).status_code == 200
    async with read_only(server):
        for _ in range(2):
            await assert_unavailable(ada.patch(ME, json={"full_name": "Bob"}))
            await assert_unavailable(ada.get("/readyz"))
            assert (await ada.get(ME)).json()["full_name"] == "Ada"
    await assert_works(ada)
    assert (await ada.patch(ME, json={"full_name": "Bob"})).status_code == 200


@pytest.mark.usefixtures("migrated_database_url")
async def test_writes_find_the_new_primary(server: Server, standby: URL) -> None:
    async def write(email: str) -> None:
        async with database.session.begin() as session:
            session.add(User(email=email, hashed_password="x"))

    hosts = f"127.0.0.1:{server.url.port},127.0.0.1:{standby.port}"
    account = f"postgres:{server.url.password}"
    given = f"postgresql://{account}@{hosts}/app?target_session_attrs=read-write"
    database = Database(make_engine(make_url(normalize_database_url(given, ROOT)), pool_size=2))
    await write("before@example.com")
    async with read_only(server):
        with pytest.raises(UnavailableError) as caught:
            await write("lost@example.com")
        assert "25006" in str(caught.value.reason)
        await write("after@example.com")
        async with database.session() as reader:
            assert (await reader.scalars(select(User.email))).all() == ["after@example.com"]
    await database.engine.dispose()
