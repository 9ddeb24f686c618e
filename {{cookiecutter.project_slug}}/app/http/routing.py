"""Questions of the web shell about the routes of an application, those of its owner too.

Mounted applications are searched too. An application's routes are looked at once, when the first
request arrives; after that, only HEAD, 405 and 404 ask the routes again.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from http import HTTPMethod
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security.api_key import APIKeyBase
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, NoMatchFound
from starlette.types import ASGIApp, Scope

from app.http.numbers import limit_numbers

# Load balancers and orchestrators call these routes every few seconds.
_PROBES = ("livez", "readyz")


class Routes:
    """The routes of an application, as far as each request needs them."""

    def __init__(self, app: FastAPI, root_path: str) -> None:
        self.count = len(app.routes)
        self.probes: set[str] = set()
        for name in _PROBES:
            with suppress(NoMatchFound):
                self.probes.add(str(app.url_path_for(name)))
        routes = list(_walk(app.routes))
        # Routes that would be taken for the prefix of a proxy, as with ROOT_PATH=/api.
        self.like_prefix = [
            route
            for route in iter_route_contexts(app.routes)
            if root_path and (route.path or "").startswith(f"{root_path}/")
        ]
        self.have_own_body_limits = any(_body_limit(route) is not None for route in routes)
        dependants = [dependant for route in routes for dependant in _dependants(route)]
        self.credentials = {b"authorization", b"cookie"}
        for dependant in dependants:
            limit_numbers(dependant)
            scheme: Any = dependant.call
            if isinstance(scheme, APIKeyBase):
                self.credentials.add(scheme.model.name.lower().encode())
        self.mounted = [mounted for route in routes if (mounted := _mounted_app(route))]


def apply_root_path(scope: Scope, root_path: str, routes: Routes) -> None:
    """Set `root_path`, and start `path` with it, whether or not the proxy strips the prefix.

    *root_path* is the setting; without it, the server's own option counts.
    """
    given = scope.get("root_path", "").rstrip("/")
    root_path = root_path or given
    if not root_path or "app_root_path" in scope:  # a mount has set it
        return
    path = scope["path"]
    if given and path.startswith(f"{given}/"):
        path = path.removeprefix(given)  # added by the server
    is_own = any(
        route.matches({**scope, "path": path, "root_path": ""})[0] is not Match.NONE
        for route in routes.like_prefix
    )
    if path.startswith(f"{root_path}/") and not is_own:
        path = path.removeprefix(root_path)  # left there by the proxy
    scope["root_path"] = root_path
    scope["path"] = root_path + path


def route_head_as_get(scope: Scope) -> Scope:
    """Return a scope that sends HEAD to the GET route, unless there is a route for HEAD.

    FastAPI's routes don't accept HEAD. Mounted files do.
    """
    if scope["method"] != "HEAD":
        return scope
    for_head, for_get = _find(scope, "HEAD"), _find(scope, "GET")
    if for_get is None or _is_mount(for_get) or (for_head and not _is_mount(for_head)):
        return scope
    return {**scope, "method": "GET"}


def route_template(scope: Scope) -> str | None:
    """Return the path of the route that has taken the request, such as `/users/{user_id}`."""
    root_path = scope.get("root_path", "")
    mount = root_path.removeprefix(scope.get("app_root_path", root_path))
    # FastAPI's own place for it, because a route lacks the prefix of its router.
    context = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context or scope.get("route"), "path_format", "/{path}" if mount else None)
    return None if path is None else f"{mount}{path}"


def body_limit(scope: Scope) -> int | None:
    """Return the `max_body_size` that the route or its mount states, if any."""
    limit = None
    for route in _find_all(scope["app"].routes, scope):
        own = _body_limit(route)
        limit = limit if own is None else own
    return limit


def allowed_methods(scope: Scope) -> str:
    """Return the value of `Allow` for this path."""
    routes = [r for r in iter_route_contexts(scope["app"].routes) if not _is_mount(r)]
    allowed = {m.value for m in HTTPMethod if any(_takes(r, scope, m.value) for r in routes)}
    if not allowed:
        allowed.add("GET")  # a file in a mounted folder
    if "GET" in allowed:
        allowed.add("HEAD")
    return ", ".join(sorted(allowed))


def misses_slash(scope: Scope) -> bool:
    """Return whether this is the path of a mount, without the slash at its end."""
    with_slash = {**scope, "path": f"{scope['path']}/"}
    return any(
        _is_mount(route)
        and route.matches(scope)[0] is Match.NONE
        and route.matches(with_slash)[0] is Match.FULL
        for route in iter_route_contexts(scope["app"].routes)
    )


def _takes(route: BaseRoute | RouteContext, scope: Scope, method: str) -> bool:
    return bool(route.matches({**scope, "method": method})[0] is Match.FULL)


def _find_all(routes: Sequence[BaseRoute], scope: Scope) -> Iterator[RouteContext]:
    """Yield the route that gets the request, after the mounts on the way to it."""
    for route in iter_route_contexts(routes):
        match, child_scope = route.matches(scope)
        if match is Match.FULL:
            yield route
            if _is_mount(route):
                yield from _find_all(route.routes, {**scope, **child_scope})
            return


def _find(scope: Scope, method: str) -> RouteContext | None:
    found = [*_find_all(scope["app"].routes, {**scope, "method": method})]
    # A mounted application may have routes, but none that takes the request.
    return None if not found or (_is_mount(found[-1]) and found[-1].routes) else found[-1]


def _is_mount(route: RouteContext) -> bool:
    return isinstance(route.original_route, Mount | Host)


def _walk(routes: Sequence[BaseRoute]) -> Iterator[RouteContext]:
    for route in iter_route_contexts(routes):
        yield route
        if _is_mount(route):
            yield from _walk(route.routes)


def _body_limit(route: RouteContext) -> int | None:
    # Of a mount, the middleware around its application or the application itself may have one.
    owner = route.app if _is_mount(route) else route
    limit: int | None = getattr(owner, "max_body_size", None)
    return limit


def _mounted_app(route: RouteContext) -> Starlette | None:
    if not _is_mount(route):
        return None
    app: ASGIApp | None = route.app
    while app is not None and not isinstance(app, Starlette):
        app = getattr(app, "app", None)  # middleware of the mount
    return app


def _dependants(route: RouteContext) -> Iterator[Dependant]:
    """Yield the route's function and its dependencies, as FastAPI sees them."""
    waiting: list[Dependant] = [found] if (found := getattr(route, "dependant", None)) else []
    while waiting:
        yield (dependant := waiting.pop())
        waiting += dependant.dependencies
