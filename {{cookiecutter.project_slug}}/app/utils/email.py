"""Sends e-mail: through SMTP, or in development without SMTP_HOST into files under var/mail/."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

import aiosmtplib
import jinja2
from email_validator import ValidatedEmail, validate_email
from uuid_utils.compat import uuid7

from app.core.config import VAR, Settings

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "email"
MAIL_DIRECTORY = VAR / "mail"
SMTP_TIMEOUT_SECONDS = 10
"""How long each answer of the SMTP server is waited for."""
SMTP_CONNECTIONS = 5
MAX_WAITING = 1000
RETRY_DELAYS_SECONDS = (1, 5, 25)
SHUTDOWN_GRACE_SECONDS = 5
CANCEL_GRACE_SECONDS = 1
_PERMANENT_CODE = 500

_environment = jinja2.Environment(
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
    """With a domain of other letters as DNS knows it: few servers take it as it is (RFC 6531)."""
    return _parse(address).ascii_email or address


def _describe(mail: Mail, error: BaseException) -> dict[str, Any]:
    """What a log line tells. Not the error's text: it may quote the message, and with it a token."""
    code = getattr(error, "code", None)
    return {"template": mail.template, "reason": type(error).__name__, "code": code}


def _is_permanent(error: Exception) -> bool:
    """The server will never take this mail (RFC 5321 section 4.2.1)."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(_is_permanent(refusal) for refusal in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= _PERMANENT_CODE


class Mailer:
    """Delivers mails in the background, so that a slow or dead SMTP server delays no request."""

    def __init__(
        self,
        settings: Settings,
        *,
        directory: Path = MAIL_DIRECTORY,
        retry_delays: tuple[float, ...] = RETRY_DELAYS_SECONDS,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._retry_delays = retry_delays
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = asyncio.Semaphore(SMTP_CONNECTIONS)

    async def send(self, mail: Mail) -> None:
        """Begin to deliver the mail and return at once. A failure is tried again, then logged."""
        if len(self._tasks) >= MAX_WAITING:
            logger.error("A mail could not be sent", extra=_describe(mail, asyncio.QueueFull()))
            return
        task = asyncio.create_task(self._deliver(mail))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give mails that are under way a moment to leave."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=SHUTDOWN_GRACE_SECONDS)
        for task in pending:
            task.cancel()
        if pending:
            # Bounded as well: aiosmtplib takes leave of the server even then, and awaits its answer.
            await asyncio.wait(pending, timeout=CANCEL_GRACE_SECONDS)

    async def _deliver(self, mail: Mail) -> None:
        try:
            message = self._compose(mail)
            for delay in self._retry_delays:
                try:
                    return await self._transmit(message, to=mail.to)
                except (aiosmtplib.SMTPException, OSError) as error:
                    if _is_permanent(error):
                        raise
                    logger.warning("A mail will be tried again", extra=_describe(mail, error))
                await asyncio.sleep(delay)
            await self._transmit(message, to=mail.to)
        except (asyncio.CancelledError, Exception) as error:
            # Nobody awaits this task: what isn't logged here is lost.
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
            _environment.get_template(f"{mail.template}.{kind}").render(mail.context)
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
        password = settings.smtp_password
        async with self._connections:
            await aiosmtplib.send(
                message,
                # As they stand: addresses that are read out of a header again may be others.
                sender=_to_ascii(settings.email_from),
                recipients=[_to_ascii(to)],
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_username,
                password=password.get_secret_value() if password else None,
                use_tls=settings.smtp_tls == "tls",
                start_tls=settings.smtp_tls == "starttls",
                timeout=SMTP_TIMEOUT_SECONDS,
            )

    def _write(self, message: EmailMessage) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{uuid7()}.eml"
        path.write_bytes(bytes(message))
        logger.info(
            "A mail was written to a file, as there is no SMTP_HOST", extra={"path": str(path)}
        )
