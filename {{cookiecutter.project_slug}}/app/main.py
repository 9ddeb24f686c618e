"""Entry point of the application: `uvicorn app.main:app`."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI
from fastapi.middleware import Middleware

from app.api.health import router as health_router
from app.api.v1.router import router as v1_router
from app.core.config import (
    PROJECT_DESCRIPTION,
    PROJECT_NAME,
    PROJECT_VERSION,
    Settings,
    get_settings,
)
from app.core.logging import configure_logging
from app.core.passwords import PasswordHasher
from app.db.session import Database
from app.http.docs import install_docs
from app.http.middleware import RequestMiddleware
from app.http.openapi import install_openapi, operation_id
from app.http.problems import install_error_handlers
from app.http.protocol import prepare_server
from app.http.shutdown import Shutdown, starting_server
from app.utils.email import Mailer
from app.utils.rate_limit import RateLimits


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    prepare_server(starting_server())
    async with Database.open(settings) as database:
        app.state.database = database
        app.state.hashing = PasswordHasher()
        app.state.mailer = Mailer(settings)
        app.state.rate_limits = RateLimits(settings)
        try:
            with app.state.shutdown.on_sigterm():
                yield
        finally:
            await app.state.mailer.close()
            await app.state.rate_limits.close()
            app.state.hashing.close()


def create_app(settings: Settings) -> FastAPI:
    shutdown = Shutdown(delay=settings.shutdown_delay, timeout=settings.shutdown_timeout)
    app = FastAPI(
        title=PROJECT_NAME,
        description=PROJECT_DESCRIPTION,
        version=PROJECT_VERSION,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        docs_url=None,  # app/http/docs.py serves it from local files
        redoc_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[Middleware(RequestMiddleware, settings=settings, shutdown=shutdown)],
    )
    app.state.settings = settings
    app.state.shutdown = shutdown
    install_error_handlers(app)
    install_openapi(app)
    if settings.docs_enabled:
        install_docs(app)
    app.include_router(health_router)
    app.include_router(v1_router)
    return app


@cache
def _app() -> FastAPI:
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    # What has been imported stays. Looking through all of it for garbage, again and again, would stop
    # the service for a tenth of a second each time.
    gc.collect()
    gc.freeze()
    return app


def __getattr__(name: str) -> FastAPI:
    """Make `app` when a server asks for it: importing `create_app`, as tests do, reads no settings."""
    if name == "app":
        return _app()
    raise AttributeError(name)
