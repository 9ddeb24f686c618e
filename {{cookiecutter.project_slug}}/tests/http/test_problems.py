"""Every error is problem details, with the same headers, and shows nothing of internals."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.application import create_app
from app.core.config import Settings
from app.core.exceptions import UnavailableError
from tests.support import assert_problem

ORIGIN = "https://app.example.com"


async def test_unknown_path_is_404(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/secret-path"), 404, "not-found")


async def test_trailing_slash_is_not_redirected(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/livez/"), 404, "not-found")


@pytest.mark.parametrize("settings_values", [{"cors_origins": [ORIGIN]}])
async def test_bug_answers_500_with_all_headers(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.get("/bug", include_in_schema=False)
    async def bug() -> None:
        raise RuntimeError("internal matter")

    response = await client.get("/bug", headers={"Origin": ORIGIN})
    assert_problem(response, 500, "internal-error")
    assert "internal matter" not in response.text
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_bug_in_a_dependency_answers_500(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def before() -> None:
        raise RuntimeError("internal matter")

    async def after() -> Any:
        yield
        raise RuntimeError("internal matter")

    @app.get("/before", include_in_schema=False, dependencies=[Depends(before)])
    @app.get("/after", include_in_schema=False, dependencies=[Depends(after, scope="function")])
    async def route() -> None:
        """Answers 200."""

    for path in ("/before", "/after"):
        response = await client.get(path)
        assert_problem(response, 500, "internal-error")
        assert "internal matter" not in response.text


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (RuntimeError("internal matter"), 500, "internal-error"),
        (UnavailableError(retry_after=1), 503, "unavailable"),
    ],
)
async def test_error_in_middleware_is_answered(
    settings: Settings, error: Exception, status: int, problem: str
) -> None:
    class Broken:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise error

    app = create_app(settings)
    app.add_middleware(Broken)
    app.user_middleware.append(app.user_middleware.pop(0))  # the innermost
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        assert_problem(await client.get("/livez"), status, problem)


async def test_bug_in_a_stream_breaks_it_off(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def body() -> Any:
        yield b"half"
        raise RuntimeError("internal matter")

    @app.get("/bug", include_in_schema=False)
    async def bug() -> StreamingResponse:
        return StreamingResponse(body())

    assert (await client.get("/bug")).content == b"half"


async def test_unavailability_is_logged_with_its_cause(
    app: FastAPI, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/away", include_in_schema=False)
    async def away() -> None:
        raise UnavailableError(retry_after=2, reason="no route to host")

    response = await client.get("/away")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "2"
    (line,) = [vars(line) for line in caplog.records if line.msg == "Unavailable"]
    assert line["reason"] == "no route to host"
    assert "no route" not in response.text


@pytest.mark.parametrize(
    ("wanted", "status", "problem"),
    [
        ("bytes=abc", 400, "bad-request"),
        ("items=1-2", 400, "bad-request"),
        ("bytes=999999999-", 416, "range-not-satisfiable"),
    ],
)
async def test_plain_text_error_becomes_a_problem(
    client: httpx2.AsyncClient, static_file: str, wanted: str, status: int, problem: str
) -> None:
    """Starlette's static files answer a bad range in plain text."""
    response = await client.get(static_file, headers={"Range": wanted})
    assert_problem(response, status, problem)
    assert ("Content-Range" in response.headers) == (status == 416)


async def test_plain_text_error_is_replaced_by_one_body(app: FastAPI, static_file: str) -> None:
    """uvicorn treats a second body as a bug; the clients of tests don't."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": static_file, "method": "GET"}
    headers = [(b"range", b"bytes=abc")]
    await app({**scope, "query_string": b"", "headers": headers}, asyncio.Queue[Any]().get, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_error_page_of_a_route_stays(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.get("/page", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>Gone</p>", 410)

    assert (await client.get("/page")).text == "<p>Gone</p>"


async def test_other_status_gets_a_general_problem(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.get("/teapot", include_in_schema=False)
    async def teapot() -> HTMLResponse:
        return HTMLResponse("short and stout", 418, headers={"Content-Type": "text/plain"})

    assert_problem(await client.get("/teapot"), 418, "http-error")
