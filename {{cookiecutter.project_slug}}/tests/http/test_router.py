"""A router is searched for paths with its prefix only, and then finds what FastAPI's finds."""

from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.testclient import TestClient
from starlette.routing import Match
from starlette.types import Scope

from app.http.router import Router
from app.http.strict_json import JSONRoute


class RecordedRoute(JSONRoute):
    compared: list[str]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.compared.append(scope["path"])
        return super().matches(scope)


async def answer(request: Request) -> Response:
    return Response(request.url.path)


def all_kinds(router_class: type[APIRouter], prefix: str) -> FastAPI:
    """Build an application with a router that has each kind of route."""
    app, nested, router = FastAPI(), router_class(prefix="/nested"), router_class(prefix=prefix)
    nested.add_api_route("/deep", answer)
    router.add_api_route("/{number}", answer, methods=["PUT"])

    @router.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    router.include_router(nested)
    app.include_router(router, prefix="/api")
    return app


async def status(app: FastAPI, method: str, path: str) -> int:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.request(method, path)).status_code


async def test_only_a_router_with_the_prefix_is_searched() -> None:
    RecordedRoute.compared = []
    app = FastAPI()
    for prefix in ("/pens", "/inks"):
        router = Router(prefix=prefix, route_class=RecordedRoute)
        router.add_api_route("", answer)
        app.include_router(router, prefix="/api")
    assert await status(app, "GET", "/api/other") == 404
    assert RecordedRoute.compared == []
    assert await status(app, "GET", "/api/inks") == 200
    assert set(RecordedRoute.compared) == {"/api/inks"}


@pytest.mark.parametrize("prefix", ["", "/pens", "/pens/{pen_id}", "/{pen_id}/caps"])
async def test_answers_are_those_of_fastapi(prefix: str) -> None:
    ours, theirs = all_kinds(Router, prefix), all_kinds(APIRouter, prefix)
    own = "/api" + prefix.format(pen_id=7)
    found = []
    for path in (f"{own}/1", f"{own}/nested/deep", own, "/api/1", "/nested/deep", "/"):
        for method in ("GET", "PUT"):
            answers = [await status(app, method, path) for app in (ours, theirs)]
            assert answers[0] == answers[1], (method, path)
            found += answers
    assert {200, 404, 405} <= set(found)
    for app in (ours, theirs):
        with TestClient(app) as client, client.websocket_connect(f"{own}/socket"):
            pass


@pytest.mark.parametrize("kind", ["mount", "route", "host"])
async def test_routes_of_starlette_have_no_prefix(kind: str) -> None:
    async def take(scope: Scope, receive: Any, send: Any) -> None:
        await Response("taken")(scope, receive, send)

    app, router = FastAPI(), Router(prefix="/pens")
    app.include_router(router, prefix="/api")
    assert await status(app, "GET", "/api/here/file") == 404
    if kind == "mount":
        router.mount("/here", take)
    elif kind == "route":
        router.add_route("/here/file", answer)
    else:
        router.host("test", take)
    assert await status(app, "GET", "/api/here/file") == 200
