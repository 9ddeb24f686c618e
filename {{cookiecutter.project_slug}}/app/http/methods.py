"""HEAD and `Allow`, answered for all routes of a path.

Starlette takes both from the first route whose path matches, and FastAPI's routes don't take HEAD.
So these functions ask every route, which only HEAD and 405 have to pay for.
"""

from http import HTTPMethod

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope


def _takes(route: BaseRoute, scope: Scope, method: str) -> bool:
    return route.matches({**scope, "method": method})[0] is Match.FULL


def route_head_as_get(scope: Scope) -> Scope:
    """Return a scope that leads HEAD to the route for GET unless it has one of its own."""
    if scope["method"] != "HEAD" or any(_takes(r, scope, "HEAD") for r in scope["app"].routes):
        return scope
    return {**scope, "method": "GET"}


def allowed_methods(scope: Scope) -> str:
    """Return the value of `Allow` for this path."""
    routes = [route for route in scope["app"].routes if not isinstance(route, Mount)]
    allowed = {m.value for m in HTTPMethod if any(_takes(r, scope, m.value) for r in routes)}
    if not allowed:
        allowed.add("GET")  # a file of a mounted folder
    if "GET" in allowed:
        allowed.add("HEAD")
    return ", ".join(sorted(allowed))
