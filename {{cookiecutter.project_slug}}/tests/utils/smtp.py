"""An SMTP server for one test, and the mail that it gets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.core.config import Settings
from app.utils import email as module
from app.utils.email import Mail, Mailer
from tests.support import TestSettings

MAIL = Mail(
    to="ada@example.com",
    subject="Bestätigung",
    template="verify_email",
    context={
        "project_name": "<b>A&B</b>",
        "valid_for": "2 days",
        "link": "https://x.example/?token=t0ken",
    },
)


def changed(settings: Settings, **values: Any) -> Settings:
    return TestSettings(**(settings.model_dump() | values))


@asynccontextmanager
async def running_server(
    factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Run a server of this protocol, and yield its port."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


def levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    """List the levels of what the mailer has logged."""
    return [record.levelno for record in caplog.records if record.name == module.__name__]


async def deliver(mailer: Mailer, mail: Mail = MAIL) -> None:
    mailer.send(mail)
    await mailer.close()
