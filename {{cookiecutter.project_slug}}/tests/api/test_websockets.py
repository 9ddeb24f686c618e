"""What routes ask for, asked for by a WebSocket. A server needs `websockets` installed to serve one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from sqlalchemy import func, select
from starlette.types import Message

from app.db.session import ReadOnlySessionError
from app.dependencies.client import ClientDep, RateLimitByIP
from app.dependencies.current_user import CurrentUser
from app.dependencies.get_db import DatabaseDep, SessionDep
from app.dependencies.services import UserServiceDep
from app.models import User
from app.schemas.user import UserListParams
from tests.support import sign_up

SOCKETS = 10  # the pool has 5 connections


class Socket:
    """The client's end of a WebSocket."""

    def __init__(self) -> None:
        self.to_app = asyncio.Queue[Message]()
        self.from_app = asyncio.Queue[Message]()

    async def send(self, text: str) -> None:
        await self.to_app.put({"type": "websocket.receive", "text": text})

    async def receive(self) -> Message:
        async with asyncio.timeout(10):
            return await self.from_app.get()


Connect = Callable[[str, dict[str, str]], Awaitable[Socket]]


@pytest.fixture
async def connect(app: FastAPI) -> AsyncIterator[Connect]:
    """Connect to a path with headers. Sockets are closed at the end of the test."""
    sockets = []

    async with asyncio.TaskGroup() as tasks:

        async def connect(path: str, headers: dict[str, str]) -> Socket:
            socket = Socket()
            scope = {
                "type": "websocket",
                "path": path,
                "query_string": b"",
                "headers": [
                    (name.lower().encode(), value.encode()) for name, value in headers.items()
                ],
                "client": ("127.0.0.1", 50000),
                "extensions": {"websocket.http.response": {}},
            }
            await socket.to_app.put({"type": "websocket.connect"})
            tasks.create_task(app(scope, socket.to_app.get, socket.from_app.put))
            sockets.append(socket)
            return socket

        yield connect
        for socket in sockets:
            await socket.to_app.put({"type": "websocket.disconnect", "code": 1000})


def serve(app: FastAPI) -> None:
    """Add a WebSocket that asks for about everything, and counts users whenever it is sent a text."""

    @app.websocket("/users", dependencies=[RateLimitByIP])
    async def count_users(
        websocket: WebSocket,
        user: CurrentUser,
        client: ClientDep,
        session: SessionDep,
        database: DatabaseDep,
        users: UserServiceDep,
    ) -> None:
        await websocket.accept()
        await websocket.send_text(f"{user.email} {client.ip_address}")
        async for text in websocket.iter_text():
            count = await session.scalar(select(func.count()).select_from(User))
            page = await users.list(UserListParams())
            async with database.session.begin() as own_session:
                account = await own_session.get_one(User, user.id)
                account.full_name = text
            renamed = await session.get_one(User, user.id)
            await websocket.send_text(f"{count} {len(page.items)} {renamed.full_name}")


async def test_sockets_hold_no_connection(
    app: FastAPI, client: httpx2.AsyncClient, user_headers: dict[str, str], connect: Connect
) -> None:
    serve(app)
    sockets = [await connect("/users", user_headers) for _ in range(SOCKETS)]
    for socket in sockets:
        assert (await socket.receive())["type"] == "websocket.accept"
        assert (await socket.receive())["text"] == "ada@example.com 127.0.0.1"
    pool = app.state.database.engine.pool
    assert pool.checkedout() == 0
    await sign_up(client, "bob@example.com")
    for socket in sockets:
        for name in ("Ada", "Ada Lovelace"):
            await socket.send(name)
            assert (await socket.receive())["text"] == f"2 2 {name}"
    assert pool.checkedout() == 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}])
async def test_refused_before_it_is_accepted(
    app: FastAPI, headers: dict[str, str], connect: Connect
) -> None:
    serve(app)
    answer = await (await connect("/users", headers)).receive()
    assert answer["type"] == "websocket.http.response.start"
    assert answer["status"] == 401
    assert app.state.database.engine.pool.checkedout() == 0


async def test_session_of_a_socket_only_reads(
    app: FastAPI, user_headers: dict[str, str], connect: Connect
) -> None:
    refused = asyncio.Event()

    @app.websocket("/write")
    async def write(session: SessionDep) -> None:
        session.add(User(email="bob@example.com", hashed_password="x"))
        with pytest.raises(ReadOnlySessionError, match=r"session\.begin"):
            await session.flush()
        refused.set()

    await connect("/write", user_headers)
    async with asyncio.timeout(10):
        await refused.wait()
