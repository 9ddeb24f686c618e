from fastapi import FastAPI

from app.api.v1 import account, auth, user, user_session
from app.core.config import Settings

PREFIX = "/api/v1"


def include_routers(app: FastAPI, settings: Settings) -> None:
    """Add the routes of version 1.

    Each router belongs to the application itself: FastAPI looks through routers within a router two
    or three times for each request.
    """
    app.include_router(auth.router, prefix=PREFIX)
    if settings.email_enabled:
        app.include_router(account.router, prefix=PREFIX)
    app.include_router(user.router, prefix=PREFIX)
    app.include_router(user_session.router, prefix=PREFIX)
