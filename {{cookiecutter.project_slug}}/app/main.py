"""Entry point of the application: `uvicorn app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware

from app.api.docs import install_docs
from app.api.errors import install_error_handlers
from app.api.health import router as health_router
from app.api.middleware import (
    BodyLimitMiddleware,
    LastResortMiddleware,
    RequestContextMiddleware,
)
from app.api.openapi import install_openapi, operation_id
from app.api.v1.router import router as v1_router
from app.core.config import (
    PROJECT_DESCRIPTION,
    PROJECT_NAME,
    PROJECT_VERSION,
    Settings,
    get_settings,
)
from app.core.logging import configure_logging
from app.core.passwords import PasswordHashing
from app.db.session import Database
from app.utils.email import Mailer


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with Database.open(settings) as database:
        app.state.database = database
        app.state.hashing = PasswordHashing()
        app.state.mailer = Mailer(settings)
        try:
            yield
        finally:
            await app.state.mailer.close()


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI(
        title=PROJECT_NAME,
        description=PROJECT_DESCRIPTION,
        version=PROJECT_VERSION,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        docs_url=None,  # app/api/docs.py serves it from local files
        redoc_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        lifespan=lifespan,
        # The first stands outermost.
        middleware=[
            Middleware(RequestContextMiddleware),
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["Link", "Location", "Retry-After", "X-Request-ID"],
            ),
            Middleware(LastResortMiddleware),
            Middleware(BodyLimitMiddleware, max_body_bytes=settings.max_body_bytes),
        ],
    )
    app.state.settings = settings
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
    return create_app(settings)


def __getattr__(name: str) -> FastAPI:
    """Make `app` when a server asks for it: importing `create_app`, as tests do, reads no settings."""
    if name == "app":
        return _app()
    raise AttributeError(name)
