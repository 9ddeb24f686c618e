"""Two applications for benchmarks/middleware.py, served in the environment of a service."""

import time
from typing import Any

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.application import create_app
from app.core.config import get_settings


def complete() -> FastAPI:
    """Build the service with all its middleware, and two routes that do next to nothing."""
    app = create_app(get_settings())

    @app.get("/empty")
    async def empty() -> None:
        pass  # 200 and `null`

    @app.get("/processor-time")
    async def processor_time() -> float:
        return time.process_time()

    return app


def bare() -> ProxyHeadersMiddleware:
    """Build the same with only the middleware that uvicorn adds by default."""
    app = complete()
    app.user_middleware.clear()
    application: Any = app  # uvicorn and Starlette type the same protocol in different words
    return ProxyHeadersMiddleware(application)
