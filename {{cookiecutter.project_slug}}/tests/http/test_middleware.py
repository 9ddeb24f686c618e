"""The request's id, the common headers and the line in the log."""

import asyncio
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Response, Security, WebSocket
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles

from tests.support import AUTH, USERS, client_of


@pytest.mark.parametrize("offered", ["abc-123_X.y", "x" * 128])
async def test_valid_request_id_of_the_client_is_used(
    client: httpx2.AsyncClient, offered: str
) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": offered})
    assert response.headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "two words", "line\\nbreak", "é"])
async def test_invalid_request_id_of_the_client_is_replaced(
    client: httpx2.AsyncClient, offered: str
) -> None:
    response = await client.get("/livez", headers=[(b"x-request-id", offered.encode())])
    assert UUID(response.headers["X-Request-ID"]).version == 7


async def test_request_is_logged_without_its_query(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "app.access")
    await client.get("/nothing?token=secret")
    await client.get("/livez")
    lines = [(line.levelname, vars(line)) for line in caplog.records if line.msg == "request"]
    assert [(level, line["path"], line["status"]) for level, line in lines] == [
        ("INFO", "/nothing", 404),
        ("DEBUG", "/livez", 200),
    ]
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/livez", "/livez"),
        ("HEAD", "/livez", "/livez"),
        ("GET", f"{USERS}/11111111-1111-7111-8111-111111111111", f"{USERS}/{{user_id}}"),
        ("HEAD", f"{USERS}/nobody", f"{USERS}/{{user_id}}"),
        ("DELETE", "/livez", "/livez"),
        ("GET", "/mounted/things/7", "/mounted/things/{number}"),
        ("GET", "/mounted/files/a.txt", "/mounted/files/{path}"),
        ("GET", "/nothing", None),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/shop"])
async def test_log_line_has_the_template_of_the_route(
    app: FastAPI,
    client: httpx2.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    method: str,
    path: str,
    route: str | None,
    prefix: str,
) -> None:
    mounted, things = FastAPI(), APIRouter(prefix="/things")

    @things.get("/{number}")
    async def read_thing(number: int) -> int:
        return number

    mounted.include_router(things)
    mounted.mount("/files", StaticFiles(directory=tmp_path))
    app.mount("/mounted", mounted)
    caplog.set_level("DEBUG", "app.access")
    await client_of(app, root_path=prefix).request(method, prefix + path)
    (line,) = [vars(line) for line in caplog.records if line.msg == "request"]
    assert (line["method"], line["route"]) == (method, route)


async def test_route_may_allow_caching(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.get("/cached", include_in_schema=False)
    async def cached(response: Response) -> None:
        response.headers["Cache-Control"] = "max-age=60"

    signed_in = {"Authorization": "Bearer x"}
    response = await client.get("/cached", headers=signed_in)
    assert response.headers.get_list("Cache-Control") == ["max-age=60"]


async def test_only_personal_responses_are_not_stored(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.get("/keyed", include_in_schema=False)
    async def keyed(_: Annotated[str, Security(APIKeyHeader(name="X-Key"))]) -> None:
        """Answers 200."""

    personal: list[dict[str, str]] = [
        {"Authorization": "Bearer x"},
        {"Cookie": "session=1"},
        {"X-Key": "1"},
    ]
    for headers in personal:
        for path in ("/livez", "/nothing"):
            response = await client.get(path, headers=headers)
            assert response.headers["Cache-Control"] == "no-store"
    assert (await client.post(f"{AUTH}/token")).headers["Cache-Control"] == "no-store"
    for path in ("/livez", "/nothing"):
        assert "Cache-Control" not in (await client.get(path)).headers


async def test_websocket_passes_through(app: FastAPI) -> None:
    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    to_app, to_client = asyncio.Queue[Any](), asyncio.Queue[Any]()
    to_app.put_nowait({"type": "websocket.connect"})
    to_app.put_nowait({"type": "websocket.receive", "text": "hello"})
    scope = {"type": "websocket", "path": "/echo", "query_string": b"", "headers": []}
    await app(scope, to_app.get, to_client.put)
    assert (await to_client.get())["type"] == "websocket.accept"
    assert await to_client.get() == {"type": "websocket.send", "text": "hello"}
