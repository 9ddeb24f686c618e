"""A log line about features of `python -m app` that another server doesn't provide."""

import logging
import sys

from app.core.config import Environment, Settings

logger = logging.getLogger(__name__)


def report_missing_features(settings: Settings, *, has_delay: bool) -> None:
    """Log one line that names what is missing; docs/servers.md has more for each server.

    *has_delay* is True if the application can delay the server's shutdown.
    """
    # Only uvicorn imports this module, and only with the `http` option of `python -m app`.
    if "app.http.protocol" in sys.modules:
        return
    is_development = settings.environment is Environment.DEVELOPMENT
    missing = ["SHUTDOWN_TIMEOUT"]
    if not has_delay and not is_development:
        missing.append("SHUTDOWN_DELAY")
    if "hypercorn" not in sys.modules:
        missing.append("connection limits")
        if "granian" not in sys.modules:
            missing.append("TRUSTED_PROXIES as the only rule for forwarded headers")
    logger.log(
        logging.INFO if is_development else logging.WARNING,
        "Not started by `python -m app`, so features are missing; see docs/servers.md",
        extra={"missing": missing},
    )
