"""Builds the application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from app.api.health import router as health_router
from app.api.v1.router import include_routers
from app.core.config import (
    PROJECT_AUTHOR,
    PROJECT_DESCRIPTION,
    PROJECT_NAME,
    PROJECT_VERSION,
    Environment,
    Settings,
)
from app.dependencies.resources import Resources, open_resources
from app.dependencies.telemetry import start_telemetry, telemetry_config
from app.http.access_log import respect_access_log
from app.http.docs import install_docs
from app.http.middleware import middleware_stack
from app.http.openapi import COMMON_PROBLEMS, install_openapi, operation_id
from app.http.problems import install_error_handlers
from app.http.server import report_missing_features
from app.http.shutdown import shutdown
from app.services.connection_service import warn_of_missing_connections

# The order and the descriptions of the groups in the OpenAPI document.
TAGS = [
    {"name": "auth", "description": "Sign in and out, verify addresses, reset passwords"},
    {"name": "users", "description": "Accounts and their sessions"},
    {"name": "process", "description": "Probes for load balancers and orchestrators"},
]


class LifespanState(TypedDict):
    """The contents of `request.state`, for every request."""

    resources: Resources


def create_app(settings: Settings) -> FastAPI:
    """Build the application for *settings*. It opens nothing before it starts."""
    # Development has no load balancer, and every reload would wait for the delay.
    is_development = settings.environment is Environment.DEVELOPMENT
    shutdown_delay = 0 if is_development else settings.shutdown_delay

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[LifespanState]:
        async with open_resources(settings) as resources:
            start_telemetry(app, resources)
            await warn_of_missing_connections(settings, resources.database.engine)
            with shutdown.on_sigterm(shutdown_delay) as has_delay:
                report_missing_features(settings, has_delay=has_delay)
                respect_access_log()
                yield {"resources": resources}

    app = FastAPI(
        title=PROJECT_NAME,
        description=PROJECT_DESCRIPTION,
        version=PROJECT_VERSION,
        contact={"name": PROJECT_AUTHOR},
        license_info={"name": "See the LICENSE file", "identifier": "LicenseRef-Service"},
        openapi_tags=TAGS,
        openapi_url="/openapi.json" if settings.serves_docs else None,
        root_path_in_servers=False,  # app/http/openapi.py does that
        docs_url=None,  # app/http/docs.py serves it from local files
        redoc_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=middleware_stack(settings),
        responses=COMMON_PROBLEMS,
        telemetry=telemetry_config(),
    )
    install_error_handlers(app)
    install_openapi(app, settings.root_path)
    if settings.serves_docs:
        install_docs(app)
    app.include_router(health_router)
    include_routers(app, settings)
    return app
