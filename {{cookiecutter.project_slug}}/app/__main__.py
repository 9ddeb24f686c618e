"""Serve the application in production: `python -m app`."""

import gc
import sys

gc.disable()  # app/main.py has the reason

import uvicorn

from app.core.config import get_settings
from app.core.limits import KEEP_ALIVE_SECONDS
from app.core.logging import configure_logging

gc.freeze()
gc.enable()


def main() -> None:
    settings = get_settings()
    # app.main does this in each worker; here it is for the process that supervises them.
    configure_logging(settings.log_level, settings.log_line_format)
    uvicorn.run(
        "app.main:app",
        host=settings.host,
        port=settings.port,
        workers=settings.web_concurrency,
        # psycopg can't use the default loop of Windows.
        loop="asyncio:SelectorEventLoop" if sys.platform == "win32" else "auto",
        http="app.http.protocol:LimitedProtocol",
        proxy_headers=False,  # TRUSTED_PROXIES decides (app/http/middleware.py)
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_timeout,
        log_config=None,
    )


if __name__ == "__main__":
    main()
