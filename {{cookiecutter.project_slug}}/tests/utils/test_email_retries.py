"""Mails that can't be delivered are retried, and in the end logged."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.core.config import Settings
from app.utils.email import Mail, Mailer
from tests.mailbox import Mailbox
from tests.utils.smtp import MAIL, changed, deliver, levels, running_server


class SlowStarter(Mailbox):
    """Rejects a mail twice before it accepts it."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[float] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- as in Mailbox
        self.attempts.append(asyncio.get_running_loop().time())
        if len(self.attempts) <= 2:
            return "451 not now, and not with t0ken"
        return await super().handle_DATA(server, session, envelope)


async def test_transient_failure_is_retried_after_growing_pauses(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    box = SlowStarter()
    async with running_server(lambda: SMTP(box, hostname="localhost")) as port:
        await deliver(Mailer(changed(settings, smtp_port=port), retry_delays=(0.01, 0.03)))
    assert len(box.messages()) == 1
    first, second, third = box.attempts
    assert second - first >= 0.01
    assert third - second >= 0.03
    assert levels(caplog) == [logging.WARNING, logging.WARNING]
    assert {record.__dict__["code"] for record in caplog.records} == {451}
    assert "t0ken" not in str([record.__dict__ for record in caplog.records])


class RejectingMailbox(Mailbox):
    """Rejects each recipient, or else each mail."""

    def __init__(self, answer: str, *, recipients: bool) -> None:
        super().__init__()
        self.answer = answer
        self.rejects_recipients = recipients
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
        if self.rejects_recipients:
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
async def test_permanent_rejection_is_not_retried(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    recipients: bool,
    answer: str,
    expected: list[int],
) -> None:
    box = RejectingMailbox(answer, recipients=recipients)
    async with running_server(lambda: SMTP(box, hostname="localhost")) as port:
        await deliver(Mailer(changed(settings, smtp_port=port), retry_delays=(0,)))
    assert box.attempts == len(expected)
    assert levels(caplog) == expected


async def test_address_that_the_server_can_never_take_is_not_retried(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The server in tests has no SMTPUTF8."""
    mail = replace(MAIL, to="d\u00f6rte@example.com")
    await deliver(Mailer(settings, retry_delays=(3600,)), mail)
    assert levels(caplog) == [logging.ERROR]
    assert caplog.records[0].__dict__["reason"] == "SMTPNotSupported"


@pytest.fixture
def unreachable(settings: Settings) -> Iterator[Settings]:
    """Settings with an SMTP server that is down: nothing listens on its port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield changed(settings, smtp_port=taken.getsockname()[1])


async def test_lost_mail_is_logged_without_its_token(
    unreachable: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await deliver(Mailer(unreachable, retry_delays=(0,)))
    assert levels(caplog) == [logging.WARNING, logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "SMTPConnectError"
    assert "t0ken" not in str([record.__dict__ for record in caplog.records])


async def test_error_in_a_template_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    context = dict(MAIL.context)
    del context["valid_for"]
    await deliver(Mailer(settings), Mail(MAIL.to, MAIL.subject, MAIL.template, context))
    assert levels(caplog) == [logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "UndefinedError"


async def test_mail_beyond_the_queue_is_logged(
    unreachable: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    mailer = Mailer(unreachable, retry_delays=(3600,), max_queued=2, shutdown_grace=0.01)
    for _ in range(3):
        mailer.send(MAIL)
    assert levels(caplog) == [logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "QueueFull"
    await mailer.close()


async def test_few_connections_are_open_at_a_time(settings: Settings, mailbox: Mailbox) -> None:
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

    async with running_server(lambda: Counting(mailbox, hostname="localhost")) as port:
        mailer = Mailer(changed(settings, smtp_port=port), max_connections=3)
        for _ in range(12):
            mailer.send(MAIL)
        await mailer.close()
    assert len(mailbox.messages()) == 12
    assert most <= 4  # the server may see an end after the next beginning


class Hanging(asyncio.Protocol):
    """Greets, answers the first command, and then only reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"220 hello\r\n250 localhost\r\n")


async def test_server_that_hangs_times_out(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(Hanging) as port:
        hanging = changed(settings, smtp_port=port)
        await deliver(Mailer(hanging, smtp_timeout=0.05, retry_delays=(0,)))
    assert levels(caplog) == [logging.WARNING, logging.ERROR]
    assert {record.__dict__["reason"] for record in caplog.records} == {"SMTPReadTimeoutError"}


async def test_shutdown_waits_for_a_moment_only(settings: Settings) -> None:
    async with running_server(Hanging) as port:
        mailer = Mailer(changed(settings, smtp_port=port), shutdown_grace=0.05)
        mailer.send(MAIL)
        async with asyncio.timeout(5):
            await mailer.close()


async def test_mail_that_is_waiting_at_shutdown_is_logged(
    unreachable: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    # Long enough for the first attempt to fail.
    await deliver(Mailer(unreachable, retry_delays=(3600,), shutdown_grace=2))
    assert levels(caplog) == [logging.WARNING, logging.ERROR]
    assert caplog.records[-1].__dict__["reason"] == "CancelledError"
