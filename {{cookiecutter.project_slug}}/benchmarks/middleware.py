"""What the middleware costs: `python -m benchmarks.middleware`.

The same request goes to the application with its middleware and to one without any, in turns, in this
process and without a network.
"""

import asyncio
import logging
import statistics
import time
from typing import Any

from pydantic import SecretStr
from starlette.types import ASGIApp, Message

from app.core.config import Environment
from app.main import create_app, lifespan
from tests.support import TestSettings

ROUNDS = 40
REQUESTS = 500
HEADERS = [
    (b"host", b"api.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    (b"accept", b"application/json"),
    (b"authorization", b"Bearer " + b"x" * 300),
]


async def seconds(app: ASGIApp, path: str) -> float:
    """The time of one request."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        """Nobody is there."""

    started = time.perf_counter()
    for _ in range(REQUESTS):
        scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": HEADERS, "client": ("192.0.2.1", 1),
            "server": ("127.0.0.1", 80), "scheme": "http", "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        await app(scope, receive, send)
    return (time.perf_counter() - started) / REQUESTS


async def empty() -> None:
    """Answers 200."""


async def measure() -> None:
    logging.disable(logging.INFO)  # the log line costs what its destination costs
    settings = TestSettings(
        environment=Environment.TEST,
        secret_key=SecretStr("x"),
        database_url=SecretStr("sqlite:///never-opened.db"),
    )
    bare, complete = create_app(settings), create_app(settings)
    bare.user_middleware.clear()
    async with lifespan(bare), lifespan(complete):
        for app in (bare, complete):
            app.get("/empty")(empty)
            await seconds(app, "/empty")
        pairs = [
            (await seconds(bare, "/empty"), await seconds(complete, "/empty"))
            for _ in range(ROUNDS)
        ]
    without, with_all = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
    print(f"empty route: {without:.0f} us without middleware, {with_all:.0f} us with it")


if __name__ == "__main__":
    asyncio.run(measure())
