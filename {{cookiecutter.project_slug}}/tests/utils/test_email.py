"""Mail: through a real SMTP server, or into a file."""

import asyncio
import logging
from email import message_from_bytes, policy
from pathlib import Path

import pytest

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


async def test_smtp(settings: Settings, mailbox: Mailbox) -> None:
    mailer = Mailer(settings)
    await mailer.send(MAIL)
    await mailer.close()
    (message,) = mailbox.messages
    assert message["From"] == settings.email_from
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "Bestätigung"
    assert message["Date"]
    assert message["Message-ID"].endswith("@example.com>")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "<b>A&B</b>" in text.get_content()
    assert "&lt;b&gt;A&amp;B&lt;/b&gt;" in html.get_content()
    assert "https://x.example/?token=t0ken" in text.get_content()


async def test_file_without_smtp_host(settings: Settings, tmp_path: Path) -> None:
    without = TestSettings(**(settings.model_dump() | {"smtp_host": None}))
    mailer = Mailer(without, directory=tmp_path / "mail")
    await mailer.send(MAIL)
    await mailer.close()
    (path,) = (tmp_path / "mail").iterdir()
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert path.suffix == ".eml"
    assert message["To"] == "ada@example.com"


@pytest.fixture
def dead(settings: Settings) -> Settings:
    """Settings with an SMTP server that does not answer: nobody listens on this port."""
    return TestSettings(**(settings.model_dump() | {"smtp_port": 9}))


async def test_failure_is_tried_again_and_logged_without_the_token(
    dead: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    mailer = Mailer(dead, retry_delays=(0, 0))
    await mailer.send(MAIL)
    await mailer.close()
    levels = [record.levelno for record in caplog.records if record.name == module.__name__]
    assert levels == [logging.WARNING, logging.WARNING, logging.ERROR]
    assert "t0ken" not in caplog.text


async def test_shutdown_does_not_wait_for_ever(
    dead: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_GRACE_SECONDS", 0.05)
    mailer = Mailer(dead, retry_delays=(3600,))
    await mailer.send(MAIL)
    async with asyncio.timeout(5):
        await mailer.close()
