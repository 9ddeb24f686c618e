"""Routes that state their own limit of the body, and read it while it arrives."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.http.limits import RequestLimits
from tests.support import ME, assert_problem, set_limits

SMALL = pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100, "body_timeout": 0.5}])


@pytest.fixture
def upload(app: FastAPI) -> str:
    """Return the path of a route that takes 1,000 bytes."""

    @app.post("/upload/{name}", include_in_schema=False, max_body_size=1000)
    async def upload(name: str, request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    return "/upload/x"


async def test_piece_that_never_arrives_is_408(settings: Settings) -> None:
    settings = settings.model_copy(update={"max_body_bytes": 1, "body_timeout": 0.01})
    receive, _ = await RequestLimits(settings, 1).read_body(asyncio.Queue[Message]().get, 9, 9)
    assert (await receive())["more_body"]
    with pytest.raises(HTTPException, match="408"):
        await receive()


async def pieces(count: int, *, size: int = 100, pause: float = 0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(pause)
        yield b"x" * size


@SMALL
async def test_route_may_take_more_than_others(client: httpx2.AsyncClient, upload: str) -> None:
    assert (await client.post(upload, content=b"x" * 1000)).json() == 1000
    assert (await client.post(upload, content=pieces(10))).json() == 1000
    assert_problem(await client.post(upload, content=b"x" * 1001), 413, "content-too-large")
    assert_problem(await client.post(upload, content=pieces(11)), 413, "content-too-large")
    assert_problem(await client.post(ME, content=b"x" * 101), 413, "content-too-large")


@SMALL
async def test_slow_client_has_time_for_each_piece(client: httpx2.AsyncClient, upload: str) -> None:
    response = await client.post(upload, content=pieces(5, pause=0.12))
    assert response.json() == 500


@SMALL
async def test_client_that_stops_sending_is_408(client: httpx2.AsyncClient, upload: str) -> None:
    request = asyncio.create_task(client.post(upload, content=pieces(2, pause=5)))
    response = await request  # in a task, as Python 3.11 stops tracing one whose wait timed out
    assert_problem(response, 408, "request-timeout")
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("settings_values", [{"max_body_bytes": 100, "max_concurrent_requests": 1}])
async def test_upload_holds_no_slot(app: FastAPI, client: httpx2.AsyncClient, upload: str) -> None:
    set_limits(app, slot_wait=0.05)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 101
        begun.set()
        await go_on.wait()

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.post(upload, content=slow()))
        await begun.wait()
        assert (await client.get(ME)).status_code == 401
        go_on.set()
    assert sending.result().json() == 101


@SMALL
async def test_file_of_a_form_is_limited_by_its_route(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    router = APIRouter()

    @router.post("/file", include_in_schema=False)
    async def file(file: UploadFile) -> int:
        return len(await file.read())

    app.include_router(router, max_body_size=1000)
    assert (await client.post("/file", files={"file": b"x" * 500})).json() == 500
    response = await client.post("/file", files={"file": b"x" * 1500})
    assert_problem(response, 413, "content-too-large")


async def count_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


@SMALL
async def test_mount_may_take_more_than_others(app: FastAPI, client: httpx2.AsyncClient) -> None:
    limited = RequestBodyLimitMiddleware(count_bytes, max_body_size=1000)
    sub = FastAPI(max_body_size=800)

    @sub.post("/")
    @sub.post("/small", max_body_size=50)
    async def take(request: Request) -> int:
        return len(await request.body())

    app.router.routes += [Mount("/files", limited), Mount("/sub", sub), Mount("/own", count_bytes)]
    assert (await client.post("/files/", content=b"x" * 500)).text == "500"
    assert (await client.post("/sub/", content=b"x" * 500)).json() == 500
    for path, size in (("/files/", 1001), ("/sub/", 801), ("/sub/small", 60), ("/own/", 101)):
        response = await client.post(path, content=b"x" * size)
        assert_problem(response, 413, "content-too-large")


@SMALL
async def test_end_of_a_streamed_body_starts_no_new_wait(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.post("/poll", include_in_schema=False, max_body_size=1000)
    async def poll(request: Request) -> bool:
        await request.body()
        await asyncio.sleep(0.6)
        return await request.is_disconnected()

    assert (await client.post("/poll", content=b"x" * 200)).json() is False


@pytest.mark.parametrize("settings_values", [{"max_body_bytes": 3_000_000}])
async def test_large_body_is_not_kept_in_memory(app: FastAPI, client: httpx2.AsyncClient) -> None:
    """MAX_BODY_BYTES may be large: a route gets pieces, and only forms and JSON are collected."""
    sizes = list[int]()

    @app.post("/stream", include_in_schema=False)
    async def stream(request: Request) -> int:
        sizes[:] = [len(piece) async for piece in request.stream()]
        return sum(sizes)

    response = await client.post("/stream", content=pieces(20, size=100_000, pause=0.01))
    assert response.json() == 2_000_000
    assert max(sizes) < 1_200_000
    response = await client.post("/stream", content=pieces(31, size=100_000))
    assert_problem(response, 413, "content-too-large")
    assert response.headers["Connection"] == "close"
