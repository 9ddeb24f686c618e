"""Sends e-mail through SMTP. In development without SMTP_HOST, writes it to files in var/mail/."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiosmtplib
from email_validator import ValidatedEmail, validate_email
from uuid_utils.compat import uuid7

from app.core.config import VAR, Settings

if TYPE_CHECKING:
    import jinja2

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "email"
MAIL_DIRECTORY = VAR / "mail"


@cache
def _templates() -> "jinja2.Environment":
    import jinja2  # noqa: PLC0415 -- slow to import, and not needed before the first mail

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


@dataclass(frozen=True)
class Mail:
    """`template` names the pair of files `<template>.txt` and `<template>.html`."""

    to: str
    subject: str
    template: str
    context: Mapping[str, str]


def _parse(address: str) -> ValidatedEmail:
    return validate_email(address, check_deliverability=False)


def _to_ascii(address: str) -> str:
    """Encode an internationalised domain for DNS: few servers accept it unencoded (RFC 6531)."""
    return _parse(address).ascii_email or address


def _describe(mail: Mail, error: BaseException) -> dict[str, Any]:
    """Return the fields of a log line, without the error's text, which may quote a token."""
    code = getattr(error, "code", None)
    return {"template": mail.template, "reason": type(error).__name__, "code": code}


def _is_permanent(error: Exception) -> bool:
    """Return whether the server rejected the mail for good (RFC 5321 section 4.2.1).

    Also when it lacks an extension that the mail needs, such as SMTPUTF8 for an address.
    """
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return True
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(_is_permanent(refusal) for refusal in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 500


def _server(settings: Settings) -> dict[str, Any]:
    password = settings.smtp_password
    return {
        "hostname": settings.smtp_host,
        "port": settings.smtp_port,
        "username": settings.smtp_username,
        "password": password.get_secret_value() if password else None,
        "use_tls": settings.smtp_tls == "tls",
        "start_tls": settings.smtp_tls == "starttls",
    }


async def check_smtp(settings: Settings) -> None:
    """Connect to the SMTP server and sign in. Raises SMTPException or OSError."""
    async with aiosmtplib.SMTP(timeout=5, **_server(settings)):
        pass


class Mailer:
    """Delivers mail in the background, so that a slow or dead SMTP server delays no request."""

    def __init__(
        self,
        settings: Settings,
        *,
        directory: Path = MAIL_DIRECTORY,
        smtp_timeout: float = 10,  # seconds, for each answer of the server
        max_connections: int = 5,
        max_queued: int = 1000,
        retry_delays: tuple[float, ...] = (1, 5, 25),
        shutdown_grace: float = 5,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._smtp_timeout = smtp_timeout
        self._max_queued = max_queued
        self._retry_delays = retry_delays
        self._shutdown_grace = shutdown_grace
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = asyncio.Semaphore(max_connections)
        # Since the start of this process, for metrics.
        self.finished = {"delivered": 0, "failed": 0}

    @property
    def waiting(self) -> int:
        """How many mails are being delivered or wait for another attempt."""
        return len(self._tasks)

    def send(self, mail: Mail) -> None:
        """Start to deliver the mail. A failed delivery is retried, and logged in the end."""
        if len(self._tasks) >= self._max_queued:
            self.finished["failed"] += 1
            logger.error("A mail could not be sent", extra=_describe(mail, asyncio.QueueFull()))
            return
        task = asyncio.create_task(self._deliver(mail))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give mails in delivery a moment to finish."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=self._shutdown_grace)
        for task in pending:
            task.cancel()
        if pending:
            # Bounded too: a cancelled aiosmtplib still sends QUIT and waits for the answer.
            await asyncio.wait(pending, timeout=1)

    async def _deliver(self, mail: Mail) -> None:
        try:
            message = self._compose(mail)
            for delay in self._retry_delays:
                try:
                    await self._transmit(message, to=mail.to)
                    break
                except (aiosmtplib.SMTPException, OSError) as error:
                    if _is_permanent(error):
                        raise
                    logger.warning(
                        "A mail was not delivered and will be retried", extra=_describe(mail, error)
                    )
                await asyncio.sleep(delay)
            else:
                await self._transmit(message, to=mail.to)
            self.finished["delivered"] += 1
        except (asyncio.CancelledError, Exception) as error:
            self.finished["failed"] += 1
            # Nobody awaits this task, so an error that isn't logged here is lost.
            logger.error("A mail could not be sent", extra=_describe(mail, error))  # noqa: TRY400 -- no traceback: see _describe
            if isinstance(error, asyncio.CancelledError):
                raise

    def _compose(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = _to_ascii(self._settings.email_from)
        message["To"] = _to_ascii(mail.to)
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=_parse(self._settings.email_from).ascii_domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        text, html = (
            _templates().get_template(f"{mail.template}.{kind}").render(mail.context)
            for kind in ("txt", "html")
        )
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        return message

    async def _transmit(self, message: EmailMessage, *, to: str) -> None:
        settings = self._settings
        if settings.smtp_host is None:
            await asyncio.to_thread(self._write, message)
            return
        async with self._connections:
            await aiosmtplib.send(
                message,
                # Explicit: aiosmtplib would parse them from the headers, perhaps differently.
                sender=_to_ascii(settings.email_from),
                recipients=[_to_ascii(to)],
                timeout=self._smtp_timeout,
                **_server(settings),
            )

    def _write(self, message: EmailMessage) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{uuid7()}.eml"
        path.write_bytes(bytes(message))
        logger.info(
            "A mail was written to a file because SMTP_HOST is not set", extra={"path": str(path)}
        )
