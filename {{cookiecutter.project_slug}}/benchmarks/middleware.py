"""What the middleware costs: `python -m benchmarks.middleware [rounds] [requests]`.

The same request goes to a service with its middleware and to one without any, in turns. What is
compared is the processor time of the two processes in their quickest rounds; nothing is logged in either.
"""

import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil
from fastapi import FastAPI
from sqlalchemy import make_url

from app.core.config import get_settings
from app.main import create_app
from tests.service import Service, running_service

REQUEST = (
    b"GET /empty HTTP/1.1\r\nHost: api.example.com\r\nAccept: application/json\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
    b"Authorization: Bearer " + b"x" * 300 + b"\r\n\r\n"
)


def complete() -> FastAPI:
    app = create_app(get_settings())

    @app.get("/empty")
    async def empty() -> None:
        """Answers 200."""

    return app


def bare() -> FastAPI:
    app = complete()
    app.user_middleware.clear()
    return app


def microseconds(service: Service, requests: int) -> float:
    """The processor time that the service takes for a request."""
    process = psutil.Process(service.process.pid)
    host, port = service.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        before = process.cpu_times()
        for _ in range(requests):
            connection.sendall(REQUEST)
            response = connection.recv(65536)
            assert response.startswith(b"HTTP/1.1 200 ")
            while not response.endswith(b"null"):
                response = connection.recv(65536)
        after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / requests * 1e6


# Systems count processor time in hundredths of a second: many requests make less of that.
def main(rounds: int = 6, requests: int = 20_000) -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = make_url(f"sqlite:///{directory / 'never-used.db'}")
        services = [
            stack.enter_context(
                running_service(
                    url,
                    directory,
                    "--factory",
                    "--no-access-log",
                    app=f"benchmarks.middleware:{app}",
                )
            )
            for app in ("bare", "complete")
        ]
        times = [[microseconds(service, requests) for service in services] for _ in range(rounds)]
    without, with_all = (min(column) for column in zip(*times, strict=True))
    print(
        f"empty route: {without:.0f} us without middleware, {with_all:.0f} us with it "
        f"({(with_all / without - 1) * 100:.0f} % more)"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
