"""The doctor tries to sign in to the SMTP server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from app.core.config import Settings
from tests.services.findings import DEPLOYED, find


@pytest.mark.usefixtures("database")
async def test_service_without_mail_is_healthy(settings: Settings) -> None:
    assert await find(settings, "mail", email_enabled=False) == []
    assert await find(settings, "mail", smtp_host=None) == []


@asynccontextmanager
async def smtp_server(password: bytes) -> AsyncIterator[int]:
    """Run an SMTP server that wants a user name and this password."""

    def authenticate(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> Any:
        return AuthResult(success=data.password == password, handled=False)

    def protocol() -> SMTP:
        return SMTP(object(), authenticator=authenticate, auth_require_tls=False)

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("password", ["right", "wrong-hidden"])
async def test_sign_in_to_the_smtp_server_is_tried(settings: Settings, password: str) -> None:
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's
    async with smtp_server(b"right") as port:
        findings = await find(
            settings, "mail", smtp_port=port, smtp_username="shop", smtp_password=password
        )
    if password == "right":
        assert findings == []
    else:
        (finding,) = findings
        assert finding.level == "error"
        assert "SMTPAuthenticationError" in finding.text
        assert "hidden" not in str(finding)


@pytest.mark.usefixtures("database")
async def test_unreachable_smtp_server_is_found(settings: Settings) -> None:
    (finding,) = await find(settings, "mail", smtp_port=9)
    assert (finding.level, finding.text) == (
        "error",
        "127.0.0.1:9 can't be used (SMTPConnectError)",
    )


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("scheme", "count"), [("http", 1), ("https", 0)])
async def test_links_without_tls_are_found(settings: Settings, scheme: str, count: int) -> None:
    deployed = DEPLOYED | {
        "email_enabled": True,
        "email_from": "shop@example.com",
        "frontend_url": f"{scheme}://app.example.com",
    }
    findings = await find(settings, "mail", **deployed)
    assert ["FRONTEND_URL" in finding.text for finding in findings] == [True] * count
