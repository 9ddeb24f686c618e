"""Encrypted connections to the SMTP server, and signing in."""

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from app.core.config import Settings
from app.utils.email import Mailer
from tests.mailbox import Mailbox
from tests.utils.smtp import changed, deliver, levels, running_server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The server's side, with a certificate for 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority, which this process trusts like those of the system."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))  # OpenSSL's own variable
    return authority


async def test_mail_is_sent_after_starttls_and_sign_in(
    settings: Settings, mailbox: Mailbox, tls: ssl.SSLContext, trusted: trustme.CA
) -> None:
    def authenticate(*arguments: Any) -> AuthResult:
        return AuthResult(success=arguments[-1] == LoginPassword(b"service", b"its password"))

    def server() -> SMTP:
        return SMTP(
            mailbox,
            hostname="localhost",
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    async with running_server(server) as port:
        values = {"smtp_tls": "starttls", "smtp_username": "service"}
        secure = changed(settings, smtp_port=port, **values, smtp_password="its password")
        await deliver(Mailer(secure, retry_delays=()))
    assert len(mailbox.messages()) == 1


async def test_mail_is_sent_on_a_tls_connection(
    settings: Settings, mailbox: Mailbox, tls: ssl.SSLContext, trusted: trustme.CA
) -> None:
    async with running_server(lambda: SMTP(mailbox, hostname="localhost"), tls) as port:
        secure = changed(settings, smtp_port=port, smtp_tls="tls")
        await deliver(Mailer(secure, retry_delays=()))
    assert len(mailbox.messages()) == 1


@pytest.mark.parametrize("smtp_tls", ["starttls", "tls"])
async def test_server_with_untrusted_certificate_gets_no_mail(
    settings: Settings,
    mailbox: Mailbox,
    tls: ssl.SSLContext,
    smtp_tls: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def server() -> SMTP:
        return SMTP(mailbox, hostname="localhost", tls_context=tls)

    async with running_server(server, tls if smtp_tls == "tls" else None) as port:
        secure = changed(settings, smtp_port=port, smtp_tls=smtp_tls)
        await deliver(Mailer(secure, retry_delays=()))
    assert mailbox.messages() == []
    assert levels(caplog) == [logging.ERROR]


@pytest.mark.parametrize("smtp_tls", ["starttls", "tls"])
async def test_server_without_tls_gets_no_mail(
    settings: Settings, mailbox: Mailbox, smtp_tls: str, caplog: pytest.LogCaptureFixture
) -> None:
    await deliver(Mailer(changed(settings, smtp_tls=smtp_tls), retry_delays=()))
    assert mailbox.messages() == []
    assert levels(caplog) == [logging.ERROR]
