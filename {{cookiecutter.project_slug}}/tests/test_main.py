"""The ways into the application: `app.application`, `app.main` and `python -m app`."""

import gc
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from sqlalchemy import select

from app import __main__ as python_m_app
from app.application import create_app
from app.core.config import ROOT, Environment, Settings
from app.core.limits import KEEP_ALIVE_SECONDS
from app.dependencies.resources import Resources
from app.http.shutdown import shutdown


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_create_app_is_importable_without_settings() -> None:
    imports = "import app.application, app.core.config as c"
    assert run(f"{imports}; assert not c.get_settings.cache_info().misses").returncode == 0


@pytest.mark.slow
def test_app_main_has_the_application() -> None:
    code = "import gc\nfrom app.main import app\nassert gc.isenabled()\nprint(app.title)"
    done = run(code, ENVIRONMENT="development")
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_garbage_is_collected_after_python_m_app_is_imported() -> None:
    assert gc.isenabled()


@pytest.mark.slow
@pytest.mark.parametrize(("option", "count"), [("--reload", 1), ("--log-config=log.json", 0)])
def test_logging_is_left_to_a_server_with_its_own_configuration(option: str, count: int) -> None:
    code = "import logging, sys; sys.argv.append({!r}); import app.main; print(len(logging.root.handlers))"
    done = run(code.format(option), ENVIRONMENT="development")
    assert done.stdout == f"{count}\n", done.stderr


@pytest.mark.slow
def test_workers_with_bad_settings_are_not_restarted() -> None:
    done = run("import app.main", ENVIRONMENT="production", SECRET_KEY="short")
    assert done.returncode == 3
    assert "SECRET_KEY: is too short" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("settings_values", [{"port": 8123, "web_concurrency": 3}])
def test_settings_reach_the_server(
    settings: Settings, settings_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: given.update(options, app=app))
    monkeypatch.setattr(python_m_app, "get_settings", lambda: settings)
    monkeypatch.setattr(python_m_app, "configure_logging", lambda *_: None)
    python_m_app.main()
    assert given == {
        "app": "app.main:app",
        "host": "127.0.0.1",
        "port": 8123,
        "workers": 3,
        "loop": "asyncio:SelectorEventLoop" if sys.platform == "win32" else "auto",
        "http": "app.http.protocol:LimitedProtocol",
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": settings.shutdown_timeout,
        "log_config": None,
    }


@pytest.mark.parametrize("environment", ["test", "development"])
async def test_lifespan_opens_the_resources(
    settings: Settings, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []

    @contextmanager
    def on_sigterm(delay: float) -> Iterator[bool]:
        delays.append(delay)
        yield True

    monkeypatch.setattr(shutdown, "on_sigterm", on_sigterm)
    settings = settings.model_copy(update={"environment": Environment(environment)})
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        assert state["resources"].settings is settings
    assert delays == [0 if environment == "development" else settings.shutdown_delay]


def dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for dependency in dependant.dependencies:
        yield dependency
        yield from dependencies(dependency)


def test_dependencies_stay_on_the_event_loop(app: FastAPI) -> None:
    """FastAPI runs plain functions in threads, which takes longer than most of them do."""
    dependants = [getattr(route, "dependant", None) for route in iter_route_contexts(app.routes)]
    calls = {
        found.call for dependant in dependants if dependant for found in dependencies(dependant)
    }
    functions = {call for call in calls if inspect.isfunction(call)}
    assert len(functions) > 5
    for function in functions:
        assert inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


async def test_application_opens_its_resources_when_it_starts(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        resources: Resources = state["resources"]
        async with resources.database.session() as session:
            assert await session.scalar(select(1)) == 1
        assert await resources.password_hasher.verify(
            "x", await resources.password_hasher.hash("x")
        )
