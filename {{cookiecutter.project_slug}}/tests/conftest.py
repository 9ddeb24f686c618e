"""Fixtures of all tests: a real database of their own, a real SMTP server, and the application.

Nothing here reads the environment, `.env` or the database of development.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from aiosmtpd.smtp import SMTP
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import URL

from app.application import create_app
from app.core.config import Settings
from app.db.base import Base
from app.db.local import local_database
from app.db.session import Database, make_engine
from app.dependencies.resources import Resources, open_resources
from app.models.user import User
from tests.support import LifespanState, Mailbox, TestSettings, alembic, bearer, log_in, sign_up


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing() -> Iterator[None]:
    """Hash with parameters that protect nothing, in a fraction of the time."""
    with pytest.MonkeyPatch.context() as patch:
        hasher = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
        patch.setattr("app.core.security._hasher", hasher)
        # The passwords of tests may hold the name of this service.
        patch.setattr("app.core.passwords.PROJECT_NAME", "Analytical Engine")
        yield


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """A test machine may have other work to do."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "app.core.passwords._MAX_WAIT_SECONDS",
            "app.db.session.CONNECT_TIMEOUT_SECONDS",
            "app.db.session.PING_TIMEOUT_SECONDS",
        ):
            patch.setattr(name, 30)
        yield


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def empty_database_url(shared_directory: Path, worker_id: str) -> Iterator[URL]:
    """The database of this test process, as it was created."""
    with local_database(shared_directory, test_process=worker_id) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_database_url(empty_database_url: URL) -> URL:
    """The same after `alembic upgrade head`: the tests use the schema that production gets."""
    alembic(empty_database_url, "upgrade", "head")
    return empty_database_url


@pytest.fixture
async def database(migrated_database_url: URL) -> AsyncIterator[Database]:
    """The database, empty whatever other tests have left. Tests commit like the service does."""
    engine = make_engine(migrated_database_url)
    async with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())
    yield Database(engine)
    await engine.dispose()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(box, hostname="localhost"), "127.0.0.1", 0
    )
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


@pytest.fixture
def settings_values() -> dict[str, Any]:
    """Settings that a test wants to be different; override this fixture."""
    return {}


@pytest.fixture
def settings(
    migrated_database_url: URL, mailbox: Mailbox, settings_values: dict[str, Any]
) -> Settings:
    values: dict[str, Any] = {
        "environment": "test",
        "database_url": migrated_database_url.render_as_string(hide_password=False),
        "database_pool_size": 5,
        "database_pool_timeout": 30,  # as above
        "secret_key": "a key for tests that signs nothing else",
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
        "smtp_tls": "none",
    }
    return TestSettings(**(values | settings_values))


@pytest.fixture
async def resources(settings: Settings, database: Database) -> AsyncIterator[Resources]:
    """What the application has open during this test."""
    async with open_resources(settings) as resources:
        yield resources


@pytest.fixture(scope="session")
def apps() -> dict[str, FastAPI]:
    """The applications so far. The first requests to a new one take longer than most tests."""
    return {}


@pytest.fixture
async def app(
    settings: Settings,
    settings_values: dict[str, Any],
    resources: Resources,
    apps: dict[str, FastAPI],
) -> AsyncIterator[FastAPI]:
    """The application, as if a server had started it. Routes that a test adds go with the test."""
    key = repr(settings_values)
    if key not in apps:
        apps[key] = create_app(settings)
    app = apps[key]
    routes, middleware = list(app.routes), list(app.user_middleware)
    app.add_middleware(LifespanState, {"resources": resources})
    yield app
    app.router.routes[:] = routes
    app.user_middleware[:] = middleware
    app.dependency_overrides.clear()
    app.openapi_schema = None
    app.middleware_stack = None  # the next test gets its own, with all request slots free


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without credentials."""
    # Errors of the application answer 500, as they do for a real client.
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
async def user(client: httpx2.AsyncClient) -> dict[str, Any]:
    """A user with the address ada@example.com."""
    return await sign_up(client, "ada@example.com")


@pytest.fixture
async def user_headers(client: httpx2.AsyncClient, user: dict[str, Any]) -> dict[str, str]:
    return bearer(await log_in(client, user["email"]))


@pytest.fixture
async def superuser_headers(client: httpx2.AsyncClient, database: Database) -> dict[str, str]:
    """The credentials of root@example.com, a superuser."""
    root = await sign_up(client, "root@example.com")
    async with database.session.begin() as session:
        account = await session.get(User, UUID(root["id"]))
        assert account is not None
        account.is_superuser = True
    return bearer(await log_in(client, root["email"]))
