"""The log of requests obeys the server's option for it."""

import uvicorn

from app.core.logging import access_logger
from app.http.shutdown import shutdown


def respect_access_log() -> None:
    """Log no requests if uvicorn was started with `--no-access-log`."""
    # The handler of SIGTERM is a method of uvicorn's server, also within gunicorn.
    server = getattr(shutdown.server_handler, "__self__", None)
    if isinstance(server, uvicorn.Server) and not server.config.access_log:
        access_logger.disabled = True
