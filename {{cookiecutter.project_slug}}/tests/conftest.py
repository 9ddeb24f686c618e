"""Fixtures of all tests: a real database of their own, and the application.

Nothing here reads the environment, `.env` or the database of development.
"""

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from app.application import create_app
from app.core.config import Settings
from app.db.base import Base
from app.db.engine import make_engine
from app.db.local import local_database
from app.db.session import Database
from app.dependencies.resources import Resources, open_resources
from tests.db.rows import delete_rows
from tests.support import (
    LifespanState,
    TestSettings,
    UserClient,
    alembic,
    cheap_password_hasher,
    client_of,
)

pytest_plugins = ["tests.mailbox"]


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run one process more than there are processors: some tests wait most of the time."""
    return (yield) + 1


if sys.platform == "win32":  # pragma: no cover -- other systems keep the default loop

    def pytest_asyncio_loop_factories() -> dict[str, Any]:
        """Use the event loop that psycopg needs on Windows."""
        return {"selector": asyncio.SelectorEventLoop}


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Wait longer for the database: a test machine may have other work to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.db.postgresql.CONNECT_TIMEOUT_SECONDS", 30)
        patch.setattr("app.db.postgresql.PING_TIMEOUT_SECONDS", 30)
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
    """The same database after `alembic upgrade head`, with the schema that production gets."""
    alembic(empty_database_url, "upgrade", "head")
    return empty_database_url


@pytest.fixture(scope="session", autouse=True)
def kept_engines() -> Iterator[Callable[..., AsyncEngine]]:
    """Use each engine in many tests: a new one compiles all statements again.

    A test closes its connections, and its event listeners end with it.
    """
    kept = functools.cache(make_engine)

    def engine(*args: Any, **options: Any) -> AsyncEngine:
        return kept(*args, **options).execution_options()  # a copy with listeners of its own

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.db.session.make_engine", engine)
        yield engine


@pytest.fixture
def own_engines(monkeypatch: pytest.MonkeyPatch, kept_engines: object) -> None:
    """New engines, for a test that opens a database more than once at a time, or changes a dialect."""
    monkeypatch.setattr("app.db.session.make_engine", make_engine)


@pytest.fixture
async def database(
    migrated_database_url: URL, kept_engines: Callable[..., AsyncEngine]
) -> AsyncIterator[Database]:
    """The database, emptied of the rows of earlier tests. Tests commit like the service does."""
    engine = kept_engines(migrated_database_url)
    async with engine.begin() as connection:
        for statement in delete_rows([*Base.metadata.tables.values()]):
            await connection.execute(statement)
    yield Database(engine)
    await engine.dispose()


@pytest.fixture
def settings_values() -> dict[str, Any]:
    """Settings that a test wants to be different; override this fixture."""
    return {}


@pytest.fixture
def settings(
    migrated_database_url: URL, mail_settings: dict[str, Any], settings_values: dict[str, Any]
) -> Settings:
    values: dict[str, Any] = {
        "environment": "test",
        "database_url": migrated_database_url.render_as_string(hide_password=False),
        "database_pool_size": 5,
        "database_pool_timeout": 30,  # as above
        "secret_key": "a key for tests that signs nothing else",
    }
    return TestSettings(**(values | mail_settings | settings_values))


@pytest.fixture
async def resources(settings: Settings, database: Database) -> AsyncIterator[Resources]:
    """Everything that the application keeps open during this test."""
    async with open_resources(settings, cheap_password_hasher(settings)) as resources:
        yield resources


@pytest.fixture(scope="session")
def apps() -> dict[str, FastAPI]:
    """The applications so far, by settings. A new one is slow in its first requests, so they are kept."""
    return {}


@pytest.fixture
async def app(
    settings: Settings,
    settings_values: dict[str, Any],
    resources: Resources,
    apps: dict[str, FastAPI],
) -> AsyncIterator[FastAPI]:
    """The application, as if a server had started it. Additions of a test are removed after it."""
    key = repr(settings_values)
    if key not in apps:
        apps[key] = create_app(settings)
    app = apps[key]
    routes, middleware = list(app.routes), list(app.user_middleware)
    handlers = dict(app.exception_handlers)
    app.add_middleware(LifespanState, {"resources": resources})
    yield app
    if app.router.routes != routes:
        app.openapi_schema = None
        app.router.routes[:] = routes
    app.user_middleware[:] = middleware
    app.exception_handlers = handlers
    app.dependency_overrides.clear()
    app.middleware_stack = None  # the next test gets its own, with all request slots free


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that is not signed in."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def ada(app: FastAPI, resources: Resources) -> AsyncIterator[UserClient]:
    """Ada, a signed-in user."""
    async with client_of(app) as client:
        await client.store_account(resources, "ada@example.com")
        yield client


@pytest.fixture
async def root(app: FastAPI, resources: Resources) -> AsyncIterator[UserClient]:
    """Root, a signed-in superuser."""
    async with client_of(app) as client:
        await client.store_account(resources, "root@example.com", is_superuser=True)
        yield client
