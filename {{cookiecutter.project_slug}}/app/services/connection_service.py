"""Compares the connections that the workers may open with those that the server allows."""

import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.crud.server import Server, find_server
from app.db.errors import unavailable_reason

logger = logging.getLogger(__name__)


def has_enough_connections(settings: Settings, server: Server) -> bool:
    """Return whether all workers' pools fit. Behind a pooler, its own limits count."""
    if server.max_connections is None or server.has_pooler:
        return True
    return settings.web_concurrency * settings.database_pool_size <= server.max_connections


def describe_connections(settings: Settings, server: Server) -> str:
    workers, size = settings.web_concurrency, settings.database_pool_size
    return (
        f"WEB_CONCURRENCY={workers} times DATABASE_POOL_SIZE={size} is up to {workers * size} "
        f"connections; the server allows {server.max_connections} for all hosts together"
    )


async def warn_of_missing_connections(settings: Settings, engine: AsyncEngine) -> None:
    """Log a warning at start, before load makes requests wait for connections and fail."""
    try:
        server = await find_server(engine)
    except Exception as error:
        if unavailable_reason(error) is None:
            raise
        return  # requests and /readyz say so
    if not has_enough_connections(settings, server):
        logger.warning("%s; lower one of them", describe_connections(settings, server))
