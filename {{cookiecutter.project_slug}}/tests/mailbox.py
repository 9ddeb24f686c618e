"""A real SMTP server that keeps the mails of a test."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from typing import Any

import httpx2
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support import AUTH


@cache
def parse(content: bytes) -> EmailMessage:
    """Parse a mail. Most tests don't read theirs, and this takes longer than to receive it."""
    return message_from_bytes(content, policy=policy.default)


@dataclass
class Mailbox:
    """The mails that a real SMTP server has received."""

    port: int = 0
    contents: list[bytes] = field(default_factory=list)

    def messages(self) -> list[EmailMessage]:
        # Not a property: aiosmtpd reads each of those for every connection.
        return [parse(content) for content in self.contents]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- the name that aiosmtpd calls
        assert isinstance(envelope.content, bytes)
        self.contents.append(envelope.content)
        return "250 OK"

    async def wait_for(self, count: int, *, to: str | None = None) -> list[EmailMessage]:
        """Wait until *count* mails (to one address) have come in since the start of the test."""
        async with asyncio.timeout(10):
            while True:
                found = [mail for mail in self.messages() if to is None or mail["To"] == to]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)


def token_in(message: EmailMessage) -> str:
    """The token of the link in a mail."""
    body = message.get_body(("plain",))
    assert body is not None
    match = re.search(r"\?token=(\S+)", body.get_content())
    assert match is not None
    return match[1]


async def token_for(client: httpx2.AsyncClient, mailbox: Mailbox, email: str, path: str) -> str:
    """Ask for a mail to a user whose earlier mails have come in, and take the token out of it.

    *path* is "verify-email" or "password-reset".
    """
    sent = len(await mailbox.wait_for(0, to=email))
    response = await client.post(f"{AUTH}/{path}/request", json={"email": email})
    assert response.status_code == 202, response.text
    return token_in((await mailbox.wait_for(sent + 1, to=email))[-1])


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(box, hostname="localhost"), "127.0.0.1", 0
    )
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


@pytest.fixture
def mail_settings(mailbox: Mailbox) -> dict[str, Any]:
    """Settings with which the service sends its mails to this server."""
    return {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_tls": "none"}
