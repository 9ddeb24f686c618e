"""A log line about features of `python -m app` that another server doesn't provide."""

import logging
import sys

import uvicorn

from app.core.config import Environment, Settings
from app.http.shutdown import shutdown

logger = logging.getLogger(__name__)

PROXIES = "TRUSTED_PROXIES as the only rule for forwarded headers"


def report_missing_features(settings: Settings, *, has_delay: bool) -> None:
    """Log one line that names what is missing; docs/servers.md has more for each server.

    *has_delay* is True if the application can delay the server's shutdown.
    """
    is_development = settings.environment is Environment.DEVELOPMENT
    missing = [*_missing_from_server()]
    if not has_delay and not is_development:
        missing.append("SHUTDOWN_DELAY")
    if missing:
        logger.log(
            logging.INFO if is_development else logging.WARNING,
            "Not started by `python -m app`, so features are missing; see docs/servers.md",
            extra={"missing": missing},
        )


def _missing_from_server() -> list[str]:
    # The handler of SIGTERM is a method of uvicorn's server, also within gunicorn.
    server = getattr(shutdown.server_handler, "__self__", None)
    if isinstance(server, uvicorn.Server):
        config = server.config
        features = {
            "SHUTDOWN_TIMEOUT": config.timeout_graceful_shutdown is not None,
            # Only uvicorn imports this module, and only with the `http` option of `python -m app`.
            "connection limits": "app.http.protocol" in sys.modules,
            PROXIES: not (config.proxy_headers and config.forwarded_allow_ips),
        }
    else:
        features = {
            "SHUTDOWN_TIMEOUT": False,
            "connection limits": "hypercorn" in sys.modules,
            PROXIES: "gunicorn" not in sys.modules or "--forwarded-allow-ips" in " ".join(sys.argv),
        }
    return [name for name, is_there in features.items() if not is_there]
