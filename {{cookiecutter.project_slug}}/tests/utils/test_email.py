"""Mail: through a real SMTP server, or into a file."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.core.config import Settings
from app.utils import email as module
from app.utils.email import Mail, Mailer
from tests.support import Mailbox, TestSettings

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
async def serving(
    factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Run a server of SMTP, or of something that is meant to be one; give its port."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


def levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records if record.name == module.__name__]


def mail_in(directory: Path) -> EmailMessage:
    (path,) = directory.iterdir()
    assert path.suffix == ".eml"
    return message_from_bytes(path.read_bytes(), policy=policy.default)


async def deliver(mailer: Mailer, mail: Mail = MAIL) -> None:
    await mailer.send(mail)
    await mailer.close()


async def test_smtp(settings: Settings, mailbox: Mailbox) -> None:
    await deliver(Mailer(settings))
    (message,) = mailbox.messages
    assert message["From"] == settings.email_from
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "Bestätigung"
    assert message["Date"]
    assert message["Message-ID"].endswith("@example.com>")
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "<b>A&B</b>" in text.get_content()
    assert "https://x.example/?token=t0ken" in text.get_content()
    assert "&lt;b&gt;A&amp;B&lt;/b&gt;" in html.get_content()
    assert 'href="https://x.example/?token=t0ken"' in html.get_content()


async def test_domain_of_other_letters(settings: Settings, mailbox: Mailbox) -> None:
    mail = Mail("ada@exämple.com", MAIL.subject, MAIL.template, MAIL.context)
    await deliver(Mailer(settings), mail)
    (message,) = mailbox.messages
    assert message["To"] == "ada@xn--exmple-cua.com"


async def test_sender_with_a_domain_of_other_letters(
    settings: Settings, mailbox: Mailbox, tmp_path: Path
) -> None:
    sender = changed(settings, email_from="noreply@bücher.example")
    await deliver(Mailer(sender))
    await deliver(Mailer(changed(sender, smtp_host=None), directory=tmp_path))
    for message in (*mailbox.messages, mail_in(tmp_path)):
        assert message["From"] == "noreply@xn--bcher-kva.example"
        assert message["Message-ID"].endswith("@xn--bcher-kva.example>")
    assert len(mailbox.messages) == 1


async def test_mail_goes_to_the_address_as_it_stands(settings: Settings, mailbox: Mailbox) -> None:
    """Whoever decodes encoded words (RFC 2047) in it sends it to another mailbox."""
    said = []

    class Noting(SMTP):
        async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802 -- the name that aiosmtpd calls
            said.append(arg)
            await super().smtp_MAIL(arg)

        async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802 -- the name that aiosmtpd calls
            said.append(arg)
            await super().smtp_RCPT(arg)

    async with serving(lambda: Noting(mailbox, hostname="localhost")) as port:
        mail = Mail("=?utf-8?q?vict=69m?=@example.com", MAIL.subject, MAIL.template, MAIL.context)
        await deliver(Mailer(changed(settings, smtp_port=port)), mail)
    sender, recipient = said
    assert sender.startswith(f"FROM:<{settings.email_from}>")
    assert recipient == f"TO:<{mail.to}>"


async def test_file_without_smtp_host(settings: Settings, tmp_path: Path) -> None:
    await deliver(Mailer(changed(settings, smtp_host=None), directory=tmp_path / "mail"))
    assert mail_in(tmp_path / "mail")["To"] == "ada@example.com"


class MoodyMailbox(Mailbox):
    """Refuses a mail twice before it takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[float] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- as in Mailbox
        self.attempts.append(asyncio.get_running_loop().time())
        if len(self.attempts) <= 2:
            return "451 not now, and not with t0ken"
        return await super().handle_DATA(server, session, envelope)


async def test_failure_is_tried_again_later_and_later(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    box = MoodyMailbox()
    async with serving(lambda: SMTP(box, hostname="localhost")) as port:
        await deliver(Mailer(changed(settings, smtp_port=port), retry_delays=(0.01, 0.03)))
    assert len(box.messages) == 1
    first, second, third = box.attempts
    assert second - first >= 0.01
    assert third - second >= 0.03
    assert levels(caplog) == [logging.WARNING, logging.WARNING]
    assert {record.__dict__["code"] for record in caplog.records} == {451}
    assert "t0ken" not in str([record.__dict__ for record in caplog.records])


class RefusingMailbox(Mailbox):
    """Refuses each recipient, or else each mail."""

    def __init__(self, answer: str, *, recipients: bool) -> None:
        super().__init__()
        self.answer = answer
        self.refuses_recipients = recipients
        self.attempts = 0

    async def handle_RCPT(  # noqa: N802 -- the name that aiosmtpd calls
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        self.attempts += 1
        if self.refuses_recipients:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 -- as in Mailbox
        return self.answer


@pytest.mark.parametrize("recipients", [True, False])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("550 no such mailbox", [logging.ERROR]),
        ("450 try again", [logging.WARNING, logging.ERROR]),
    ],
)
async def test_final_refusal_is_not_tried_again(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    recipients: bool,
    answer: str,
    expected: list[int],
) -> None:
    box = RefusingMailbox(answer, recipients=recipients)
    async with serving(lambda: SMTP(box, hostname="localhost")) as port:
        await deliver(Mailer(changed(settings, smtp_port=port), retry_delays=(0,)))
    assert box.attempts == len(expected)
    assert levels(caplog) == expected


def test_pauses_grow(settings: Settings) -> None:
    delays = module.RETRY_DELAYS_SECONDS
    assert delays
    assert list(delays) == sorted(set(delays))
    assert delays[0] > 0
    assert Mailer(settings)._retry_delays == delays


@pytest.fixture
def dead(settings: Settings) -> Iterator[Settings]:
    """Settings with an SMTP server that is down: nobody listens on its port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield changed(settings, smtp_port=taken.getsockname()[1])


async def test_lost_mail_is_logged_without_its_token(
    dead: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await deliver(Mailer(dead, retry_delays=(0,)))
    assert levels(caplog) == [logging.WARNING, logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "SMTPConnectError"
    assert "t0ken" not in str([record.__dict__ for record in caplog.records])


async def test_mistake_in_a_template_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    context = dict(MAIL.context)
    del context["valid_for"]
    await deliver(Mailer(settings), Mail(MAIL.to, MAIL.subject, MAIL.template, context))
    assert levels(caplog) == [logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "UndefinedError"


async def test_backlog_is_bounded(
    dead: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    monkeypatch.setattr(module, "SHUTDOWN_GRACE_SECONDS", 0.01)
    mailer = Mailer(dead, retry_delays=(3600,))
    for _ in range(3):
        await mailer.send(MAIL)
    assert levels(caplog) == [logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "QueueFull"
    await mailer.close()


async def test_few_connections_at_once(settings: Settings, mailbox: Mailbox) -> None:
    active = most = 0

    class Counting(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal active, most
            active += 1
            most = max(most, active)
            super().connection_made(transport)

        def connection_lost(self, error: Exception | None) -> None:
            nonlocal active
            active -= 1
            super().connection_lost(error)

    async with serving(lambda: Counting(mailbox, hostname="localhost")) as port:
        mailer = Mailer(changed(settings, smtp_port=port))
        for _ in range(12):
            await mailer.send(MAIL)
        await mailer.close()
    assert len(mailbox.messages) == 12
    assert most <= module.SMTP_CONNECTIONS + 1  # the server may see an end after the next beginning


class Hanging(asyncio.Protocol):
    """Greets and takes the first command; then it reads, and says nothing any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"220 hello\r\n250 localhost\r\n")


async def test_server_that_says_nothing_any_more(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMTP_TIMEOUT_SECONDS", 0.05)
    async with serving(Hanging) as port:
        await deliver(Mailer(changed(settings, smtp_port=port), retry_delays=(0,)))
    assert levels(caplog) == [logging.WARNING, logging.ERROR]
    assert {record.__dict__["reason"] for record in caplog.records} == {"SMTPReadTimeoutError"}


async def test_shutdown_waits_for_a_moment_only(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_GRACE_SECONDS", 0.05)
    monkeypatch.setattr(module, "CANCEL_GRACE_SECONDS", 0.05)
    async with serving(Hanging) as port:
        mailer = Mailer(changed(settings, smtp_port=port))
        await mailer.send(MAIL)
        async with asyncio.timeout(1):
            await mailer.close()


async def test_mail_that_waits_at_shutdown_is_logged(
    dead: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_GRACE_SECONDS", 0.05)
    await deliver(Mailer(dead, retry_delays=(3600,)))
    assert levels(caplog) == [logging.WARNING, logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "CancelledError"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server needs to show that it is 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority, trusted by this process like those of the system."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))  # OpenSSL's own variable
    return authority


async def test_starttls_and_sign_in(
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

    async with serving(server) as port:
        values = {"smtp_tls": "starttls", "smtp_username": "service"}
        secure = changed(settings, smtp_port=port, **values, smtp_password="its password")
        await deliver(Mailer(secure, retry_delays=()))
    assert len(mailbox.messages) == 1


async def test_tls_from_the_start(
    settings: Settings, mailbox: Mailbox, tls: ssl.SSLContext, trusted: trustme.CA
) -> None:
    async with serving(lambda: SMTP(mailbox, hostname="localhost"), tls) as port:
        secure = changed(settings, smtp_port=port, smtp_tls="tls")
        await deliver(Mailer(secure, retry_delays=()))
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("smtp_tls", ["starttls", "tls"])
async def test_server_that_proves_nothing_gets_no_mail(
    settings: Settings,
    mailbox: Mailbox,
    tls: ssl.SSLContext,
    smtp_tls: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def server() -> SMTP:
        return SMTP(mailbox, hostname="localhost", tls_context=tls)

    async with serving(server, tls if smtp_tls == "tls" else None) as port:
        secure = changed(settings, smtp_port=port, smtp_tls=smtp_tls)
        await deliver(Mailer(secure, retry_delays=()))
    assert mailbox.messages == []
    assert levels(caplog) == [logging.ERROR]


@pytest.mark.parametrize("smtp_tls", ["starttls", "tls"])
async def test_server_without_tls_gets_no_mail(
    settings: Settings, mailbox: Mailbox, smtp_tls: str, caplog: pytest.LogCaptureFixture
) -> None:
    await deliver(Mailer(changed(settings, smtp_tls=smtp_tls), retry_delays=()))
    assert mailbox.messages == []
    assert levels(caplog) == [logging.ERROR]
