"""Call the application without a server: `python call_app.py EMPTY_ROUTE CURRENT_USER`.

The arguments are numbers of requests. Under callgrind, the difference between two runs is what the
requests between them cost.
"""

import asyncio
import gc
import os
import sys
from typing import Any

from open_database import add_users
from sqlalchemy import URL, delete

from app.application import create_app
from app.core.config import get_settings
from app.core.logging import configure_logging
from app.db.engine import make_engine
from app.db.session import database_url
from app.models.user import User

PATHS = ["/empty", "/api/v1/users/me"]


async def empty() -> dict[str, str]:
    return {"status": "ok"}


async def call(counts: list[int], token: str) -> None:
    configure_logging("INFO", "json")
    app = create_app(get_settings())
    app.get("/empty")(empty)
    gc.disable()  # a collection, which may fall into one run and not the other, costs 1,000 requests
    async with app.router.lifespan_context(app) as state:
        for path, count in zip(PATHS, counts, strict=True):
            for _ in range(count):
                status = 0

                async def receive() -> dict[str, Any]:
                    return {"type": "http.request", "body": b"", "more_body": False}

                async def send(message: Any) -> None:
                    nonlocal status
                    status = message.get("status", status)

                scope = {
                    "type": "http",
                    "asgi": {"version": "3.0", "spec_version": "2.4"},
                    "http_version": "1.1",
                    "method": "GET",
                    "scheme": "http",
                    "path": path,
                    "raw_path": path.encode(),
                    "query_string": b"",
                    "root_path": "",
                    "headers": [
                        (b"host", b"127.0.0.1:8000"),
                        (b"authorization", f"Bearer {token}".encode()),
                    ],
                    "client": ("127.0.0.1", 50000),
                    "server": ("127.0.0.1", 8000),
                    "state": dict(state or {}),
                }
                await app(scope, receive, send)
                assert status == 200, (path, status)


async def remove_users(url: URL) -> None:
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.execute(delete(User))
    await engine.dispose()


if __name__ == "__main__":
    os.environ.setdefault("SHUTDOWN_DELAY", "0")
    with database_url(get_settings()) as database:
        (access_token,) = asyncio.run(add_users(database, 1))
        try:
            asyncio.run(call([int(count) for count in sys.argv[1:]], access_token))
        finally:
            asyncio.run(remove_users(database))
