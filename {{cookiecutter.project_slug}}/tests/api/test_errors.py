"""Every error is problem details and says nothing of what the client sent or of internals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy import QueuePool, insert, select, update
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.application import create_app
from app.core.config import Settings
from app.dependencies.get_db import SessionDep
from app.dependencies.resources import Resources
from app.models import User, UserSession
from tests.support import AUTH, ME, PASSWORD, USERS, sign_up

OpenStream = Callable[[str], Awaitable[asyncio.Task[None]]]


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
    assert response.headers["Allow"] == "GET, HEAD"
    response = await client.put(ME)
    assert response.headers["Allow"] == "DELETE, GET, HEAD, PATCH"
    response = await client.post("/docs/assets/swagger-ui.css")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET, HEAD"


async def test_no_redirect_for_a_trailing_slash(client: httpx2.AsyncClient) -> None:
    assert_problem(await client.get("/livez/"), 404, "not-found")


async def test_head_is_get_without_a_body(client: httpx2.AsyncClient) -> None:
    response = await client.head("/livez")
    assert response.status_code == 200
    assert response.headers["X-Request-ID"]
    assert (await client.head("/docs/assets/swagger-ui.css")).status_code == 200
    assert (await client.head(ME)).status_code == 401
    response = await client.head(f"{AUTH}/token")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


async def test_own_route_for_head(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.head("/only-head", include_in_schema=False)
    async def only_head() -> None:
        """Answers 200."""

    assert (await client.head("/only-head")).status_code == 200


JSON = {"Content-Type": "application/json"}


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], AsyncIterator[bytes]]:
    """A body that goes on when it has been refused; the service listens to it for a moment."""
    monkeypatch.setattr("app.http.limits._LINGER_SECONDS", 0.05)

    async def endless(chunk: bytes) -> AsyncIterator[bytes]:
        while True:
            yield chunk

    return endless


@pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100}])
@pytest.mark.parametrize("length", ["101", "9" * 30, "9" * 5000, None])
async def test_large_body(
    client: httpx2.AsyncClient,
    endless: Callable[[bytes], AsyncIterator[bytes]],
    length: str | None,
) -> None:
    headers = JSON | ({"Content-Length": length} if length else {})
    # In a task: coverage of Python 3.11 loses a coroutine through which a cancellation has gone.
    request = asyncio.create_task(client.post(USERS, content=endless(b"x" * 60), headers=headers))
    async with asyncio.timeout(10):
        response = await request
    assert_problem(response, 413, "content-too-large")
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100}])
async def test_largest_body(client: httpx2.AsyncClient) -> None:
    for content in (b" " * 100, b" " * 101):
        headers = JSON | {"Content-Encoding": "identity"}
        response = await client.post(USERS, content=content, headers=headers)
        assert response.status_code == (422 if len(content) == 100 else 413)


@pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100}])
async def test_bodies_that_arrive_together(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.limits._MAX_BODIES", 1)
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" " * 60
        waits.set()
        await goes_on.wait()
        yield b" "

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.post(USERS, content=slow(), headers=JSON))
        await waits.wait()
        response = await client.post(USERS, content=b" " * 60, headers=JSON)
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"
        goes_on.set()
    assert first.result().status_code == 422
    # What has arrived counts no more.
    assert (await client.post(USERS, content=b" " * 60, headers=JSON)).status_code == 422


async def test_client_that_goes_while_it_sends(app: FastAPI) -> None:
    received = asyncio.Queue[Message]()
    received.put_nowait({"type": "http.request", "body": b"{", "more_body": True})
    received.put_nowait({"type": "http.disconnect"})
    sent = asyncio.Queue[Message]()
    headers = [(b"host", b"test"), (b"transfer-encoding", b"chunked")]
    scope = {
        "type": "http",
        "path": USERS,
        "method": "POST",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, received.get, sent.put)
    assert sent.empty()


@pytest.mark.parametrize("settings_values", [{"body_timeout": 0.1}])
async def test_slow_body(
    client: httpx2.AsyncClient, endless: Callable[[bytes], AsyncIterator[bytes]]
) -> None:
    async def chunks() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    # In a task, as above.
    response = await asyncio.create_task(
        client.post(USERS, content=chunks(), headers={"Content-Type": "application/json"})
    )
    assert_problem(response, 408, "request-timeout")
    assert response.headers["Connection"] == "close"


async def test_long_url_and_headers(client: httpx2.AsyncClient) -> None:
    response = await client.get("/livez", params={"x": "x" * 40_000})
    assert_problem(response, 414, "uri-too-long")
    response = await client.get("/livez", headers={"X-Long": "x" * 70_000})
    assert_problem(response, 431, "headers-too-large")


@pytest.mark.parametrize(
    ("headers", "status", "problem"),
    [
        ([(b"host", b"a"), (b"host", b"b")], 400, "bad-request"),
        ([], 400, "bad-request"),
        ([(b"host", b"a"), (b"content-length", b"-1")], 400, "bad-request"),
        ([(b"host", b"a"), (b"content-length", b"1e3")], 400, "bad-request"),
        ([(b"host", b"a"), (b"content-encoding", b"gzip")], 415, "unsupported-media-type"),
    ],
)
async def test_bad_head(
    app: FastAPI, headers: list[tuple[bytes, bytes]], status: int, problem: str
) -> None:
    """Servers refuse some of these themselves; whichever it is, none gets through."""
    sent = list[Message]()
    received = asyncio.Queue[Message]()
    received.put_nowait({"type": "http.request"})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "path": USERS,
        "method": "POST",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, received.get, send)
    assert sent[0]["status"] == status
    assert f"/problems/{problem}".encode() in sent[1]["body"]


async def test_host_is_not_needed_before_http_1_1(app: FastAPI) -> None:
    sent = asyncio.Queue[Message]()
    scope = {"type": "http", "http_version": "1.0", "path": "/livez", "method": "GET"}
    await app({**scope, "query_string": b"", "headers": []}, asyncio.Queue[Any]().get, sent.put)
    assert (await sent.get())["status"] == 200


@pytest.mark.parametrize("settings_values", [{"cors_origins": ["https://app.example.com"]}])
async def test_refusal_has_all_headers(
    client: httpx2.AsyncClient, endless: Callable[[bytes], AsyncIterator[bytes]]
) -> None:
    headers = JSON | {"Origin": "https://app.example.com", "Content-Length": "9" * 10}
    # In a task, as above.
    response = await asyncio.create_task(client.post(USERS, content=endless(b" "), headers=headers))
    assert_problem(response, 413, "content-too-large")
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("wanted", "status", "problem"),
    [
        ("bytes=abc", 400, "bad-request"),
        ("items=1-2", 400, "bad-request"),
        ("bytes=999999999-", 416, "range-not-satisfiable"),
    ],
)
async def test_bad_range(
    client: httpx2.AsyncClient, wanted: str, status: int, problem: str
) -> None:
    """Starlette answers this in plain text."""
    response = await client.get("/docs/assets/swagger-ui.css", headers={"Range": wanted})
    assert_problem(response, status, problem)
    assert ("Content-Range" in response.headers) == (status == 416)


async def test_answer_in_place_of_plain_text_has_one_body(app: FastAPI) -> None:
    """uvicorn takes a second one for a bug, which clients of tests do not."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/docs/assets/swagger-ui.css", "method": "GET"}
    headers = [(b"range", b"bytes=abc")]
    await app({**scope, "query_string": b"", "headers": headers}, asyncio.Queue[Any]().get, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_own_error_page_stays(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.get("/page", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>Gone</p>", 410)

    assert (await client.get("/page")).text == "<p>Gone</p>"


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_other_content_type(client: httpx2.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post(USERS, content=b'{"email": "secret"}', headers=headers)
    assert_problem(response, 415, "unsupported-media-type")
    assert "secret" not in response.text


VALID = b'"email": "ada@example.com", "password": "correct horse battery"'


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{", ""),
        (b"", ""),
        (b"[]", ""),
        (b'{"email": "secret', ""),
        (b"{%b, %b}" % (VALID, VALID), ""),
        (b'{%b, "full_name": NaN}' % VALID, ""),
        (b'{%b, "full_name": -Infinity}' % VALID, ""),
        (b'{%b, "full_name": 1e999}' % VALID, "/full_name"),
        (b'{%b, "full_name": %b}' % (VALID, b"9" * 5000), ""),
        (b'{%b, "full_name": %b}' % (VALID, b"[" * 100_000), ""),
        (b'{%b, "full_name": "\\u0000"}' % VALID, "/full_name"),
        (b'{%b, "full_name": "\\ud800"}' % VALID, ""),
        (b'{%b, "full_name": "\\ud83d\\ude00", "x": 1}' % VALID, "/x"),
        (b'{%b, "full_name": "\xff"}' % VALID, ""),
        (b'{%b, "full_name": "%b"}' % (VALID, b"x" * 201), "/full_name"),
        (b'{%b, "a/~b": 1}' % VALID, "/a~1~0b"),
        ((b"{%b}" % VALID).decode().encode("utf-16"), ""),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ""),
    ],
)
async def test_bad_json(client: httpx2.AsyncClient, body: bytes, pointer: str) -> None:
    response = await client.post(USERS, content=body, headers={"Content-Type": "application/json"})
    problem = assert_problem(response, 422, "validation-error")
    assert problem["errors"][0]["pointer"] == pointer
    assert "secret" not in response.text


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
FILE = b'--x\r\nContent-Disposition: form-data; name="username"; filename="a"\r\n\r\nb\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (FORM, b"", 422),
        (FORM, b"username=ada", 422),
        (FORM, b"username=%00&password=%00", 401),
        (FORM, b"username=%ff%fe&password=%ff", 401),
        (FORM, b"username=%zz&password=%", 401),
        (FORM, b"username=ada&password=" + b"x" * 100_000, 401),
        (FORM, b"&".join(b"x%d=" % number for number in range(2000)), 400),
        (f"{FORM}; charset=UTF-8", b"username=ada&password=x", 401),
        (f"{FORM}; charset=klingon", b"username=ada&password=x", 415),
        (f"{MULTIPART}; charset=punycode", FILE, 415),
        ("application/json", b'{"username": "ada", "password": "x"}', 415),
        ("application/json; charset=utf-16", b"{}", 415),
        (MULTIPART, b"nothing of the kind", 400),
        (MULTIPART, FILE, 422),
        ("multipart/form-data", FILE, 400),
    ],
)
async def test_bad_form(
    client: httpx2.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    response = await client.post(
        f"{AUTH}/token", content=body, headers={"Content-Type": content_type}
    )
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "klingon" not in response.text


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=",
        f"q={'x' * 255}",
        "limit=NaN",
        "limit=1e400",
        f"limit={'9' * 5000}",
        "limit=0",
        "limit=101",
        "limit=١",
        "is_active=maybe",
        "sort=hashed_password",
        "cursor=%00",
        "cursor=%ff",
        "cursor=é",
        "cursor=a.b.c",
    ],
)
async def test_bad_query(
    client: httpx2.AsyncClient, superuser_headers: dict[str, str], query: str
) -> None:
    response = await client.get(f"{USERS}?{query}", headers=superuser_headers)
    assert response.status_code == 422
    errors = response.json()["errors"]
    assert errors == [
        {"detail": errors[0]["detail"], "in": "query", "name": query.partition("=")[0]}
    ]


@pytest.mark.parametrize("path", ["%00", "%ff", "%F0%9F%92%A9", "x" * 10_000, "0" * 32 + "%0A"])
async def test_bad_path(
    client: httpx2.AsyncClient, superuser_headers: dict[str, str], path: str
) -> None:
    response = await client.get(f"{USERS}/{path}", headers=superuser_headers)
    assert response.status_code in {404, 422}
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer ", b"Bearer \xff\xfe", b"Bearer a.b.c", b"Basic YTpi", b"\x00"]
)
async def test_bad_authorization(client: httpx2.AsyncClient, value: bytes) -> None:
    response = await client.get(ME, headers=[(b"authorization", value)])
    assert_problem(response, 401, "not-authenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_user_agent_of_any_bytes(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    response = await client.post(
        f"{AUTH}/token",
        data={"username": user["email"], "password": PASSWORD},
        headers=[(b"user-agent", b"\xff\x80\t" * 1000)],
    )
    assert response.status_code == 200


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
    @app.get("/bug", include_in_schema=False)
    async def bug() -> None:
        raise RuntimeError("internal matter")

    response = await client.get("/bug", headers={"Origin": "https://app.example.com"})
    assert_problem(response, 500, "internal-error")
    assert "internal matter" not in response.text
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


async def test_bug_in_a_dependency(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def before() -> None:
        raise RuntimeError("internal matter")

    async def after() -> Any:
        yield
        raise RuntimeError("internal matter")

    @app.get("/before", include_in_schema=False, dependencies=[Depends(before)])
    @app.get("/after", include_in_schema=False, dependencies=[Depends(after, scope="function")])
    async def route() -> None:
        """Answers if it is asked."""

    for path in ("/before", "/after"):
        response = await client.get(path)
        assert_problem(response, 500, "internal-error")
        assert "internal matter" not in response.text


async def test_bug_in_middleware(settings: Settings) -> None:
    class Broken:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("internal matter")

    app = create_app(settings)
    app.add_middleware(Broken)
    app.user_middleware.append(app.user_middleware.pop(0))  # innermost, where one is added by hand
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        assert_problem(await client.get("/livez"), 500, "internal-error")


async def test_bug_after_the_answer_began(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def body() -> Any:
        yield b"half"
        raise RuntimeError("internal matter")

    @app.get("/bug", include_in_schema=False)
    async def bug() -> StreamingResponse:
        return StreamingResponse(body())

    response = await client.get("/bug")
    assert response.content == b"half"


async def test_get_that_writes_is_a_bug(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    @app.get("/flush", include_in_schema=False)
    async def flush(session: SessionDep) -> None:
        session.add(User(email="new@example.com", hashed_password="x"))
        await session.flush()

    @app.get("/update", include_in_schema=False)
    async def update_all(session: SessionDep) -> None:
        await session.execute(update(User).values(full_name="x"))

    for path in ("/flush", "/update"):
        assert_problem(await client.get(path), 500, "internal-error")


async def test_failed_commit_is_an_error(app: FastAPI, client: httpx2.AsyncClient) -> None:
    async def fail() -> None:
        raise ConnectionError("connection lost")

    @app.post("/write", include_in_schema=False)
    async def write(session: SessionDep) -> None:
        session.commit = fail  # type: ignore[method-assign]  # the commit's own failure

    response = await client.post("/write")
    assert_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"


async def test_broken_foreign_key_is_a_bug(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/orphan", include_in_schema=False)
    async def orphan(session: SessionDep) -> None:
        session.add(UserSession(user_id=uuid4()))

    assert_problem(await client.post("/orphan"), 500, "internal-error")


async def test_unknown_unique_violation_is_a_bug(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    @app.post("/twice", include_in_schema=False)
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


async def test_log_line(client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "app.http.middleware")
    await client.get("/nothing?token=secret")
    await client.get("/livez")
    lines = [(line.levelname, vars(line)) for line in caplog.records if line.msg == "request"]
    assert [(level, line["path"], line["status"]) for level, line in lines] == [
        ("INFO", "/nothing", 404),
        ("DEBUG", "/livez", 200),
    ]
    assert "secret" not in str(lines)


async def test_route_may_allow_caches(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.get("/cached", include_in_schema=False)
    async def cached(response: Response) -> None:
        response.headers["Cache-Control"] = "max-age=60"

    assert (await client.get("/cached")).headers.get_list("Cache-Control") == ["max-age=60"]
    assert (await client.get("/livez")).headers["Cache-Control"] == "no-store"


async def test_cors_is_closed(client: httpx2.AsyncClient) -> None:
    response = await client.get("/livez", headers={"Origin": "https://elsewhere.example.com"})
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("settings_values", [{"cors_origins": ["https://app.example.com"]}])
@pytest.mark.parametrize(
    ("origin", "status"), [("https://app.example.com", 200), ("https://elsewhere.example.com", 204)]
)
async def test_preflight(client: httpx2.AsyncClient, origin: str, status: int) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    response = await client.options(USERS, headers=headers)
    assert response.status_code == status
    assert ("Access-Control-Allow-Origin" in response.headers) == (status == 200)
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


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


@pytest.fixture
async def open_stream(resources: Resources, app: FastAPI) -> AsyncIterator[OpenStream]:
    """Begin a request, of HTTP or of WebSocket, whose answer goes on until the end of the test."""
    release = asyncio.Event()

    @app.get("/stream", include_in_schema=False)
    async def stream(session: SessionDep) -> StreamingResponse:
        await session.execute(select(1))

        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            await release.wait()

        return StreamingResponse(body())

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        async with resources.database.session() as session:
            await session.execute(select(1))
        await websocket.send_text("half")
        await release.wait()

    async with asyncio.TaskGroup() as tasks:

        async def begin(kind: str) -> asyncio.Task[None]:
            sent = asyncio.Queue[Message]()
            received = asyncio.Queue[Message]()
            if kind == "http":
                scope = {"path": "/stream", "method": "GET", "query_string": b"", "type": "http"}
                received.put_nowait({"type": "http.request"})
            else:
                scope = {"path": "/socket", "query_string": b"", "type": "websocket"}
                received.put_nowait({"type": "websocket.connect"})
            stream = tasks.create_task(app({**scope, "headers": []}, received.get, sent.put))
            await sent.get()  # the status, or that the connection is accepted
            await sent.get()  # what the stream begins with
            return stream

        yield begin
        release.set()


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 5}])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_streams_hold_no_connection(
    resources: Resources,
    app: FastAPI,
    client: httpx2.AsyncClient,
    open_stream: OpenStream,
    kind: str,
) -> None:
    streams = [await open_stream(kind) for _ in range(10)]  # the pool has 5
    pool = resources.database.engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0
    await sign_up(client, "ada@example.com")
    assert not any(stream.done() for stream in streams)


@pytest.mark.parametrize(
    "settings_values",
    [{"max_concurrent_requests": 1, "cors_origins": ["https://app.example.com"]}],
)
async def test_overload(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.middleware._MAX_WAIT_SECONDS", 0.05)
    release = asyncio.Event()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        await release.wait()

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.get("/wait"))
        await asyncio.sleep(0.05)
        origin = {"Origin": "https://app.example.com"}
        # In a task of its own: Python 3.11 no longer traces, for coverage, one whose wait has timed out.
        response = await tasks.create_task(client.get(USERS, headers=origin))
        assert_problem(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "1"
        assert "Connection" not in response.headers
        # A page can read why it failed; without its preflight request it would see no answer at all.
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        preflight = origin | {"Access-Control-Request-Method": "POST"}
        assert (await client.options(USERS, headers=preflight)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        release.set()
    assert first.result().status_code == 200
    assert (await client.get(USERS)).status_code == 401


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1, "body_timeout": 0.1}])
async def test_slow_bodies_take_nobodys_turn(client: httpx2.AsyncClient) -> None:
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await asyncio.sleep(60)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(client.post(USERS, content=slow(), headers=JSON))
        await begun.wait()
        assert (await client.get(ME)).status_code == 401


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1}])
async def test_turn_of_a_request_that_ends_without_an_answer(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    begun = asyncio.Event()

    @app.get("/wait", include_in_schema=False)
    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    first = asyncio.create_task(client.get("/wait"))
    await begun.wait()
    first.cancel()
    await asyncio.wait([first])
    async with asyncio.timeout(10):
        assert (await client.get(ME)).status_code == 401


@pytest.mark.parametrize("settings_values", [{"body_timeout": 0.05}])
async def test_who_has_sent_all_may_wait(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/poll", include_in_schema=False)
    async def poll(request: Request) -> bool:
        await request.body()
        await asyncio.sleep(0.1)
        return await request.is_disconnected()

    assert (await client.post("/poll", content=b"x")).json() is False
