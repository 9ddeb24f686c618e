"""HEAD requests and the `Allow` header, for all routes of a path together.

Starlette looks at the first route whose path matches, and FastAPI's routes don't accept HEAD. These
functions ask every route, which costs time for HEAD and 405 only.
"""

from http import HTTPMethod

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope


def _takes(route: BaseRoute, scope: Scope, method: str) -> bool:
    return route.matches({**scope, "method": method})[0] is Match.FULL


def route_head_as_get(scope: Scope) -> Scope:
    """Return a scope that sends HEAD to the GET route, unless there is a route for HEAD."""
    if scope["method"] != "HEAD" or any(_takes(r, scope, "HEAD") for r in scope["app"].routes):
        return scope
    return {**scope, "method": "GET"}


def allowed_methods(scope: Scope) -> str:
    """Return the value of `Allow` for this path."""
    routes = [route for route in scope["app"].routes if not isinstance(route, Mount)]
    allowed = {m.value for m in HTTPMethod if any(_takes(r, scope, m.value) for r in routes)}
    if not allowed:
        allowed.add("GET")  # a file in a mounted folder
    if "GET" in allowed:
        allowed.add("HEAD")
    return ", ".join(sorted(allowed))
