"""Serves the application: `python -m app`."""

import uvicorn

from app.core.config import get_settings


def main() -> None:
    settings = get_settings()
    uvicorn.run(
        "app.main:app",
        host=settings.host,
        port=settings.port,
        workers=settings.web_concurrency,
        # TRUSTED_PROXIES decides whose forwarded headers count (app/http/middleware.py).
        proxy_headers=False,
        http="app.http.protocol:LimitedProtocol",
        timeout_graceful_shutdown=settings.shutdown_timeout,
    )


if __name__ == "__main__":
    main()
