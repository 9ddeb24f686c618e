"""What the middleware costs: `python -m benchmarks.middleware [rounds] [requests]`.

The same request goes to a service with its middleware and to one that has only uvicorn's for proxies,
which the service does without, in turns of a few hundred, in fifteen pairs of processes. What is
compared is their processor time, system calls and all, in each pair of turns; the median pair counts.
Nothing is logged in either.
"""

import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from fastapi import FastAPI
from sqlalchemy import make_url
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.application import create_app
from app.core.config import get_settings
from tests.service import Service, running_service

HEAD = (
    b" HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
    b"Authorization: Bearer " + b"x" * 300 + b"\r\n\r\n"
)
STARTS = 15
UVICORN = ["uvicorn", "--port={port}", "--factory", "--no-access-log", "--no-proxy-headers"]
UVICORN += ["--http=app.http.protocol:LimitedProtocol"]


def complete() -> FastAPI:
    app = create_app(get_settings())

    @app.get("/empty")
    async def empty() -> None:
        """Answers 200."""

    @app.get("/processor-time")
    async def processor_time() -> float:
        return time.process_time()

    return app


def bare() -> ProxyHeadersMiddleware:
    app = complete()
    app.user_middleware.clear()
    # uvicorn puts it around an application by itself; `python -m app` turns that off.
    application: Any = app  # the same protocol, typed in other words
    return ProxyHeadersMiddleware(application)


def connect(service: Service) -> socket.socket:
    host, port = service.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def get(connection: socket.socket, path: bytes) -> bytes:
    """The body of the answer, without the cost of a client that understands HTTP."""
    connection.sendall(b"GET " + path + HEAD)
    response = b""
    while True:
        received = connection.recv(65536)
        assert received, "the service has closed the connection"
        response += received
        head, end, body = response.partition(b"\r\n\r\n")
        # All answers here are short and have a body of one piece.
        if end and body:
            assert head.startswith(b"HTTP/1.1 200 ")
            return body


def microseconds(connection: socket.socket, requests: int) -> float:
    """The processor time that the service takes for a request."""
    before = float(get(connection, b"/processor-time"))
    for _ in range(requests):
        assert get(connection, b"/empty") == b"null"
    return (float(get(connection, b"/processor-time")) - before) / requests * 1e6


def measure(rounds: int, requests: int) -> list[list[float]]:
    """Pairs of times, without middleware and with it, of two new processes."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = make_url(f"sqlite:///{directory / 'never-used.db'}")
        services = [
            stack.enter_context(
                running_service(url, directory, command=[*UVICORN, f"benchmarks.middleware:{app}"])
            )
            for app in ("bare", "complete")
        ]
        # Connected when both run: a connection that waits for long is closed.
        connections = [stack.enter_context(connect(service)) for service in services]
        for connection in connections:
            microseconds(connection, requests)  # the first ones are slow
        return [
            [microseconds(connection, requests) for connection in connections]
            for _ in range(rounds)
        ]


def main(rounds: int = 30, requests: int = 300) -> None:
    # Processes that run the same code differ by some per cent: no single pair of them tells much.
    pairs = [pair for _ in range(STARTS) for pair in measure(rounds, requests)]
    without, with_all = (median(times) for times in zip(*pairs, strict=True))
    share = median(with_ / without_ for without_, with_ in pairs) - 1
    print(
        f"empty route: {without:.0f} us without middleware, {with_all:.0f} us with it "
        f"({share * 100:.1f} % more)"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
