import inspect
import subprocess
import sys
from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from app.core.config import ROOT


def test_importing_create_app_reads_no_settings() -> None:
    code = "import app.application, app.core.config as c; assert not c.get_settings.cache_info().misses"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


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
