import gc
import inspect
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from app import main
from app.core.config import Environment
from tests.service import SECRET_KEY
from tests.support import TestSettings


def test_app_is_made_when_a_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = []
    settings = TestSettings(environment=Environment.TEST, secret_key=SecretStr(SECRET_KEY))
    monkeypatch.setattr(main, "get_settings", lambda: settings)
    monkeypatch.setattr(main, "configure_logging", lambda *values: configured.append(values))
    assert main.app is main.app
    assert main.app.state.settings is settings
    assert configured == [("INFO", "console")]
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    main._app.cache_clear()


def test_nothing_else_is_made() -> None:
    with pytest.raises(AttributeError):
        main.nothing  # noqa: B018 -- the access is the test


def dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for dependency in dependant.dependencies:
        yield dependency
        yield from dependencies(dependency)


def test_dependencies_stay_on_the_event_loop(app: FastAPI) -> None:
    """FastAPI runs plain functions in threads, which takes longer than what most of them do."""
    dependants = [getattr(route, "dependant", None) for route in iter_route_contexts(app.routes)]
    calls = {
        found.call for dependant in dependants if dependant for found in dependencies(dependant)
    }
    functions = {call for call in calls if inspect.isfunction(call)}
    assert len(functions) > 5
    for function in functions:
        assert inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
