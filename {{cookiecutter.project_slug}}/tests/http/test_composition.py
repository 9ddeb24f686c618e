"""Additions of an owner: mounts, sub-applications, exception handlers, security schemes."""

from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response, Security
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPDigest
from fastapi.staticfiles import StaticFiles
from sqlalchemy import select
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from app.core.exceptions import AppError, ConflictError
from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.models.user import User
from tests.support import AUTH, USERS, UserClient, assert_invalid, assert_problem


@pytest.fixture
def front_end(app: FastAPI, tmp_path: Path) -> None:
    """Mount a single-page application at `/`, after the API."""
    (tmp_path / "index.html").write_text("<p>Hello</p>")
    app.mount("/", StaticFiles(directory=tmp_path, html=True))


@pytest.mark.usefixtures("front_end")
async def test_head_works_with_a_mount_at_the_root(client: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/", "/index.html"):
        assert (await client.head(path)).status_code == 200, path
    response = await client.head(f"{AUTH}/token")
    assert_status(response, 404)  # no file has this name
    response = await client.put("/livez")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET, HEAD"


def assert_status(response: httpx2.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_static_files_may_be_cached(client: httpx2.AsyncClient, static_file: str) -> None:
    first = await client.get(static_file)
    assert "Cache-Control" not in first.headers
    assert first.headers["Last-Modified"]
    validator = {"If-None-Match": first.headers["ETag"], "Cookie": "session=1"}
    again = await client.get(static_file, headers=validator)
    assert again.status_code == 304
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Cache-Control" not in again.headers


async def test_mount_without_its_slash_is_redirected(
    client: httpx2.AsyncClient, static_file: str
) -> None:
    response = await client.get(f"{Path(static_file).parent}?x=1")
    assert response.status_code == 307
    assert response.headers["Location"] == f"{Path(static_file).parent}/?x=1"
    assert_problem(await client.get("/livez/"), 404, "not-found")


@pytest.fixture
def sub_application(app: FastAPI) -> FastAPI:
    sub = FastAPI()

    @sub.get("/users")
    async def count(reader: ReadSessionDep) -> int:
        return len(await reader.scalars(select(User.id)))

    @sub.post("/users")
    async def add(session: SessionDep, email: str) -> None:
        session.add(User(email=email, hashed_password="none"))
        await session.flush()

    @sub.get("/conflict")
    async def conflict() -> None:
        raise ConflictError("There is another one.")

    @sub.get("/bug")
    async def bug() -> None:
        raise RuntimeError("internal matter")

    app.mount("/sub", sub)
    return sub


@pytest.mark.usefixtures("sub_application")
async def test_sub_application_uses_the_database(client: httpx2.AsyncClient) -> None:
    add = {"email": "ada@example.com"}
    assert (await client.post("/sub/users", params=add)).status_code == 200
    assert (await client.get("/sub/users")).json() == 1
    response = await client.post("/sub/users", params=add)
    assert_problem(response, 409, "email-already-registered")


@pytest.mark.usefixtures("sub_application")
async def test_errors_of_a_sub_application_are_problems(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/sub/none"), 404, "not-found")
    assert_problem(await client.get("/sub/conflict"), 409, "conflict")
    assert_problem(await client.post("/sub/users"), 422, "validation-error")
    response = await client.get("/sub/bug")
    assert_problem(response, 500, "internal-error")
    assert "internal matter" not in response.text
    response = await client.put("/sub/users")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET, HEAD, POST"
    assert (await client.head("/sub/users")).status_code == 200
    assert (await client.head("/sub/none")).status_code == 404


async def test_sub_application_keeps_its_own_handlers(
    app: FastAPI, sub_application: FastAPI, client: httpx2.AsyncClient
) -> None:
    @sub_application.exception_handler(AppError)
    async def answer(_request: Request, error: AppError) -> JSONResponse:
        return JSONResponse({"sub": str(error)}, error.status)

    assert (await client.get("/sub/conflict")).json() == {"sub": "There is another one."}


async def test_mounted_function_handles_methods_itself(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    async def show_method(scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(headers={"X-Method": scope["method"]})
        await response(scope, receive, send)

    router = APIRouter()
    router.routes.append(Mount("/plain", app=show_method))
    app.include_router(router, prefix="/inner")
    response = await client.head("/inner/plain/x")
    assert response.headers["X-Method"] == "HEAD"


@pytest.fixture
def failing(app: FastAPI) -> FastAPI:
    """The application with handlers of its owner, which the test may set."""

    @app.get("/bug", include_in_schema=False)
    async def bug() -> None:
        raise RuntimeError("internal matter")

    @app.get("/conflict", include_in_schema=False)
    async def conflict() -> None:
        raise ConflictError("There is another one.")

    @app.get("/teapot", include_in_schema=False)
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    return app


@pytest.mark.parametrize("kind", [Exception, 500, RuntimeError])
@pytest.mark.parametrize("in_a_thread", [False, True])
async def test_owner_handles_unexpected_errors(
    failing: FastAPI,
    client: httpx2.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    kind: Any,
    in_a_thread: bool,
) -> None:
    seen: list[Exception] = []

    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return answer_in_a_thread(_request, error)

    def answer_in_a_thread(_request: Request, error: Exception) -> JSONResponse:
        seen.append(error)
        return JSONResponse({"seen": str(error)}, 500)

    failing.exception_handler(kind)(answer_in_a_thread if in_a_thread else answer)
    response = await client.get("/bug")
    assert response.status_code == 500
    assert response.json() == {"seen": "internal matter"}
    assert response.headers["X-Request-ID"]
    assert len(seen) == 1
    assert kind is RuntimeError or "Unhandled error" in caplog.messages
    assert_problem(await client.get("/conflict"), 409, "conflict")


async def test_owner_handles_expected_errors(failing: FastAPI, client: httpx2.AsyncClient) -> None:
    async def answer(_request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(f"Oh, {error}", 200)

    failing.exception_handler(AppError)(answer)
    failing.exception_handler(HTTPException)(answer)
    assert (await client.get("/conflict")).text == "Oh, There is another one."
    assert (await client.get("/teapot")).text == "Oh, 418: short and stout"


@pytest.mark.parametrize(
    ("scheme", "challenge"),
    [
        (APIKeyHeader(name="X-API-Key"), "APIKey"),
        (HTTPBasic(realm="orders"), 'Basic realm="orders"'),
        (HTTPDigest(), "Digest"),
    ],
)
async def test_other_security_schemes_answer_like_ours(
    app: FastAPI, client: httpx2.AsyncClient, scheme: Any, challenge: str
) -> None:
    @app.get("/guarded")
    async def guarded(_: Annotated[Any, Security(scheme)]) -> None:
        """Answer to whoever has a key."""

    response = await client.get("/guarded")
    assert_problem(response, 401, "not-authenticated")
    assert response.headers.get_list("WWW-Authenticate") == [challenge]
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/guarded"]["get"]
    assert operation["security"] == [{type(scheme).__name__: []}]
    header = operation["responses"]["401"]["headers"]["WWW-Authenticate"]
    assert header == {"$ref": "#/components/headers/WWW-Authenticate"}
    assert "const" not in document["components"]["headers"]["WWW-Authenticate"]["schema"]


@pytest.mark.parametrize(
    ("status", "slug", "header"),
    [
        (401, "not-authenticated", "WWW-Authenticate"),
        (403, "forbidden", None),
        (429, "too-many-attempts", "Retry-After"),
        (503, "unavailable", "Retry-After"),
    ],
)
async def test_http_exception_has_the_headers_of_its_status(
    app: FastAPI, client: httpx2.AsyncClient, status: int, slug: str, header: str | None
) -> None:
    @app.get("/error", include_in_schema=False)
    async def error() -> None:
        raise HTTPException(status, "internal matter")

    response = await client.get("/error")
    assert_problem(response, status, slug)
    assert header is None or response.headers[header]
    assert "internal matter" not in response.text


async def test_not_modified_of_a_route_has_no_body(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.get("/unchanged", include_in_schema=False)
    async def unchanged() -> None:
        raise HTTPException(304, headers={"ETag": '"1"'})

    response = await client.get("/unchanged")
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == '"1"'


async def test_mounted_service_keeps_its_probes(app: FastAPI) -> None:
    outer = FastAPI()
    outer.mount("/shop", app)
    transport = httpx2.ASGITransport(app=outer)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/shop/livez")).status_code == 200
        problem = assert_problem(await client.get("/shop/nothing"), 404, "not-found")
        assert problem["instance"] == "/shop/nothing"


async def test_handlers_see_the_body_errors_of_a_sub_application(
    app: FastAPI, sub_application: FastAPI, client: httpx2.AsyncClient
) -> None:
    @sub_application.post("/numbers")
    async def numbers(body: list[int]) -> None:
        """Take numbers."""

    assert_invalid(await client.post("/sub/numbers", json=[1, "x"]), "/1")


async def test_sign_up_in_a_mounted_service(app: FastAPI, ada: UserClient) -> None:
    """Location and Link name the path of the mount."""
    outer = FastAPI()
    outer.mount("/shop", app)
    transport = httpx2.ASGITransport(app=outer)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        body = {"email": "bob@example.com", "password": "kv7 Mz2 qR9 tX4 wB6"}
        response = await client.post(f"/shop{USERS}", json=body)
    assert response.headers["Location"] == f"/shop{USERS}/{response.json()['id']}"
