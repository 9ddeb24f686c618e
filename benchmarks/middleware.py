"""Measure how much processor time the middleware of a service takes for each request.

The same request goes to the service with its middleware and to the service with uvicorn's own for
proxies only, alternately, a few hundred times each, in fifteen pairs of processes. The median
ratio of the pairs counts, because processes that run the same code differ by some per cent. The
times include system calls; nothing is logged.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.generated import INSIDE
from dev import clean_environment
from tools.running import Server, running

PROCESSES = 15
ROUNDS = 30
REQUESTS = 300
HEAD = (
    b" HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
    b"Authorization: Bearer " + b"x" * 300 + b"\r\n\r\n"
)


def connect(server: Server) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def get(connection: socket.socket, path: bytes) -> bytes:
    """Return the body of a response. A client that understands HTTP would cost more than the service."""
    connection.sendall(b"GET " + path + HEAD)
    response = b""
    while True:
        received = connection.recv(65536)
        assert received, "the service has closed the connection"
        response += received
        head, end, body = response.partition(b"\r\n\r\n")
        # All responses here are short, and their body comes in one piece.
        if end and body:
            assert head.startswith(b"HTTP/1.1 200 ")
            return body


def microseconds(connection: socket.socket, requests: int) -> float:
    """Return the processor time that the service takes for a request."""
    before = float(get(connection, b"/processor-time"))
    for _ in range(requests):
        assert get(connection, b"/empty") == b"null"
    return (float(get(connection, b"/processor-time")) - before) / requests * 1e6


def measure(project: Path, rounds: int, requests: int) -> list[tuple[float, float]]:
    """Start two processes; return the times without and with middleware of each round."""
    env = {
        **clean_environment(),
        "LOG_LEVEL": "CRITICAL",
        "PYTHONPATH": os.pathsep.join([str(project), str(INSIDE)]),
    }
    options = ["--factory", "--no-access-log", "--no-proxy-headers"]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(project, env, app=f"apps:{name}", options=options))
            for name in ("bare", "complete")
        ]
        # Only when both run: the service closes connections that are idle for long.
        without, with_all = (stack.enter_context(connect(server)) for server in servers)
        for connection in (without, with_all):
            microseconds(connection, requests)  # the first requests are slow
        return [
            (microseconds(without, requests), microseconds(with_all, requests))
            for _ in range(rounds)
        ]


def run(project: Path) -> int:
    pairs = [pair for _ in range(PROCESSES) for pair in measure(project, ROUNDS, REQUESTS)]
    without, with_all = (median(times) for times in zip(*pairs, strict=True))
    share = median(after / before for before, after in pairs) - 1
    print(
        f"empty route: {without:.0f} us without middleware, {with_all:.0f} us with it "
        f"({share * 100:.1f} % more)"
    )
    return 0
