"""Two processes behind a load balancer are restarted in turn, and no client notices."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import URL

from tests.service import Service, free_port, running_service
from tests.support import (
    sign_up_body,
    wait_until,
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("database"),  # empty when a test begins
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM"),
]

RESTARTS = 10
REQUESTS = 10_000


class Balancer:
    """A small load balancer: it forwards connections, in turn, to those processes that are ready."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.ready: set[int] = set()
        self.turn = 0
        self.connections: list[asyncio.Task[None]] = []

    async def watch(self) -> None:
        async with httpx2.AsyncClient(timeout=1) as client:
            while True:
                for port in self.ports:
                    try:
                        response = await client.get(f"http://127.0.0.1:{port}/readyz")
                        ready = response.status_code == 200
                    except httpx2.TransportError:
                        ready = False
                    (self.ready.add if ready else self.ready.discard)(port)
                await asyncio.sleep(0.05)

    def accept(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections.append(asyncio.create_task(self.forward(client, back)))

    async def forward(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.turn += 1
        port = sorted(self.ready)[self.turn % len(self.ready)]
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(client, to_server), pipe(server, back))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[int]:
        watch = asyncio.create_task(self.watch())
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
        watch.cancel()
        await asyncio.gather(watch, *self.connections, return_exceptions=True)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_rolling_restarts_lose_nothing(migrated_database_url: URL, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    balancer = Balancer(ports)
    failures: list[str] = []
    done = 0
    restarting = True

    async def use(client: httpx2.AsyncClient, number: int) -> None:
        nonlocal done
        while done < REQUESTS or restarting:
            done += 1
            try:
                if done % 10:
                    response = await client.get("/api/v1/users/me")
                    expected = 401
                else:
                    account = sign_up_body(f"{number}-{done}@example.com")
                    response = await client.post("/api/v1/users", json=account)
                    expected = 201
            except httpx2.TransportError as error:
                failures.append(repr(error))
            else:
                if response.status_code != expected:
                    failures.append(response.text)

    async def restart() -> None:
        nonlocal restarting
        for number in range(RESTARTS):
            port = ports[number % 2]
            process = stacks[port].pop_all()
            services[port].process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(services[port].process.wait, 30)
            await process.aclose()
            await start(port)
            await wait_until(lambda: len(balancer.ready) == len(ports))
        restarting = False

    async def start(port: int) -> None:
        service = running_service(
            migrated_database_url, tmp_path, port=port, SHUTDOWN_DELAY="1", LOG_LEVEL="WARNING"
        )
        services[port] = await asyncio.to_thread(stacks[port].enter_context, service)

    services: dict[int, Service] = {}
    stacks = {port: AsyncExitStack() for port in ports}
    async with stacks[ports[0]], stacks[ports[1]], balancer.run() as port:
        await asyncio.gather(start(ports[0]), start(ports[1]))
        await wait_until(lambda: len(balancer.ready) == len(ports))
        async with (
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(restart())
            for number in range(8):
                tasks.create_task(use(client, number))
    assert failures == []
    assert done >= REQUESTS
