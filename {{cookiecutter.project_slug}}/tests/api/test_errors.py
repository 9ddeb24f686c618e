"""Every error is problem details and says nothing of what the client sent or of internals."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import insert, update

from app.dependencies.get_db import SessionDep
from app.models import Login, User
from tests.support import PASSWORD

USERS = "/api/v1/users"


def assert_problem(response: httpx2.Response, status: int, problem: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"/problems/{problem}"
    assert body["status"] == status
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["title"]
    assert body["detail"]
    return body


async def test_unknown_path(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/secret-path"), 404, "not-found")


async def test_wrong_method(client: httpx2.AsyncClient) -> None:
    response = await client.put("/livez")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET"


async def test_no_redirect_for_a_trailing_slash(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/livez/"), 404, "not-found")


@pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100}])
@pytest.mark.parametrize("chunked", [False, True])
async def test_large_body(client: httpx2.AsyncClient, chunked: bool) -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 60

    response = await client.post(
        USERS,
        content=chunks() if chunked else b"x" * 101,
        headers={"Content-Type": "application/json"},
    )
    assert_problem(response, 413, "content-too-large")
    assert sent == (2 if chunked else 0)  # nobody reads beyond the limit


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{", ""),
        (b"", ""),
        (b"[]", ""),
        (b'{"email": "secret', ""),
        (b'{"email": NaN, "password": "correct horse battery"}', "/email"),
        (b'{"email": "\\ud800@example.com", "password": "correct horse battery"}', "/email"),
    ],
)
async def test_bad_json(client: httpx2.AsyncClient, body: bytes, pointer: str) -> None:
    response = await client.post(USERS, content=body, headers={"Content-Type": "application/json"})
    problem = assert_problem(response, 422, "validation-error")
    assert problem["errors"][0]["pointer"] == pointer
    assert "secret" not in response.text


async def test_body_that_is_not_utf8(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        USERS, content=b'{"email": "\xff"}', headers={"Content-Type": "application/json"}
    )
    assert response.status_code in {400, 422}
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_bad_path_parameter(
    client: httpx2.AsyncClient, superuser_headers: dict[str, str]
) -> None:
    response = await client.get(f"{USERS}/not-a-uuid", headers=superuser_headers)
    problem = assert_problem(response, 422, "validation-error")
    assert problem["errors"] == [
        {"detail": "Input should be a valid UUID", "in": "path", "name": "user_id"}
    ]


@pytest.mark.parametrize("settings_values", [{"cors_origins": ["https://app.example.com"]}])
async def test_bug_answers_500_with_all_headers(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("internal matter")

    response = await client.get("/bug", headers={"Origin": "https://app.example.com"})
    assert_problem(response, 500, "internal-error")
    assert "internal matter" not in response.text
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


async def test_bug_after_the_answer_began(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def body() -> Any:
        yield b"half"
        raise RuntimeError("internal matter")

    @app.get("/bug")
    async def bug() -> StreamingResponse:
        return StreamingResponse(body())

    response = await client.get("/bug")
    assert response.content == b"half"


async def test_get_that_writes_is_a_bug(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    @app.get("/flush")
    async def flush(session: SessionDep) -> None:
        session.add(User(email="new@example.com", hashed_password="x"))
        await session.flush()

    @app.get("/update")
    async def update_all(session: SessionDep) -> None:
        await session.execute(update(User).values(full_name="x"))

    for path in ("/flush", "/update"):
        assert_problem(await client.get(path), 500, "internal-error")


async def test_failed_commit_is_an_error(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def fail() -> None:
        raise OSError("connection lost")

    @app.post("/write")
    async def write(session: SessionDep) -> None:
        session.commit = fail  # type: ignore[method-assign]  # the commit's own failure

    response = await client.post("/write")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_broken_foreign_key_is_a_bug(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/orphan")
    async def orphan(session: SessionDep) -> None:
        session.add(Login(user_id=uuid4()))

    assert_problem(await client.post("/orphan"), 500, "internal-error")


async def test_unknown_unique_violation_is_a_bug(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    @app.post("/twice")
    async def twice(session: SessionDep) -> None:
        await session.execute(
            insert(User).values(id=UUID(user["id"]), email="x@example.com", hashed_password="x")
        )

    assert_problem(await client.post("/twice"), 500, "internal-error")


@pytest.mark.parametrize("offered", ["abc-123_X.y", "x" * 128])
async def test_request_id_of_the_client(client: httpx2.AsyncClient, offered: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": offered})
    assert response.headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "two words", "line\\nbreak", "é"])
async def test_request_id_that_is_refused(client: httpx2.AsyncClient, offered: str) -> None:
    response = await client.get("/livez", headers=[(b"x-request-id", offered.encode())])
    assert UUID(response.headers["X-Request-ID"]).version == 7


async def test_cors_is_closed(client: httpx2.AsyncClient) -> None:
    response = await client.get("/livez", headers={"Origin": "https://elsewhere.example.com"})
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_password_never_comes_back(client: httpx2.AsyncClient) -> None:
    body = {"email": "ada", "password": PASSWORD, "password2": PASSWORD}
    response = await client.post(USERS, json=body)
    assert response.status_code == 422
    assert PASSWORD not in response.text


async def test_middleware_lets_other_protocols_pass(app: FastAPI) -> None:
    to_app, to_client = asyncio.Queue[Any](), asyncio.Queue[Any]()
    scope = {"type": "websocket", "path": "/nothing", "headers": []}
    await app(scope, to_app.get, to_client.put)
    assert (await to_client.get())["type"] == "websocket.close"
