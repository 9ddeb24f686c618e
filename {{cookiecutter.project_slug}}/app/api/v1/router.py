from fastapi import APIRouter

from app.api.v1 import account, auth, user
from app.core.config import Settings


def make_router(settings: Settings) -> APIRouter:
    """Collect the routes of version 1."""
    router = APIRouter(prefix="/api/v1")
    router.include_router(auth.router)
    if settings.email_enabled:
        router.include_router(account.router)
    router.include_router(user.router)
    return router
