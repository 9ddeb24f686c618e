"""Mails that the mailer sends: headers, both bodies, and the addresses it gives to the server."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP

from app.core.config import Settings
from app.utils.email import Mail, Mailer
from tests.mailbox import Mailbox
from tests.utils.smtp import MAIL, changed, deliver, running_server


def mail_in(directory: Path) -> EmailMessage:
    (path,) = directory.iterdir()
    assert path.suffix == ".eml"
    return message_from_bytes(path.read_bytes(), policy=policy.default)


async def test_mail_has_both_bodies_and_all_headers(settings: Settings, mailbox: Mailbox) -> None:
    await deliver(Mailer(settings))
    (message,) = mailbox.messages()
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


async def test_international_domain_is_sent_in_ascii(settings: Settings, mailbox: Mailbox) -> None:
    mail = Mail("ada@exämple.com", MAIL.subject, MAIL.template, MAIL.context)
    await deliver(Mailer(settings), mail)
    (message,) = mailbox.messages()
    assert message["To"] == "ada@xn--exmple-cua.com"


async def test_sender_with_international_domain_is_sent_in_ascii(
    settings: Settings, mailbox: Mailbox, tmp_path: Path
) -> None:
    sender = changed(settings, email_from="noreply@bücher.example")
    await deliver(Mailer(sender))
    await deliver(Mailer(changed(sender, smtp_host=None), directory=tmp_path))
    for message in (*mailbox.messages(), mail_in(tmp_path)):
        assert message["From"] == "noreply@xn--bcher-kva.example"
        assert message["Message-ID"].endswith("@xn--bcher-kva.example>")
    assert len(mailbox.messages()) == 1


async def test_encoded_word_in_an_address_is_not_decoded(
    settings: Settings, mailbox: Mailbox
) -> None:
    """Decoded (RFC 2047), it would be the address of another mailbox."""
    arguments = []

    class Recorder(SMTP):
        async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802 -- the name that aiosmtpd calls
            arguments.append(arg)
            await super().smtp_MAIL(arg)

        async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802 -- the name that aiosmtpd calls
            arguments.append(arg)
            await super().smtp_RCPT(arg)

    async with running_server(lambda: Recorder(mailbox, hostname="localhost")) as port:
        mail = Mail("=?utf-8?q?vict=69m?=@example.com", MAIL.subject, MAIL.template, MAIL.context)
        await deliver(Mailer(changed(settings, smtp_port=port)), mail)
    sender, recipient = arguments
    assert sender.startswith(f"FROM:<{settings.email_from}>")
    assert recipient == f"TO:<{mail.to}>"


async def test_mail_is_written_to_a_file_without_smtp_host(
    settings: Settings, tmp_path: Path
) -> None:
    await deliver(Mailer(changed(settings, smtp_host=None), directory=tmp_path / "mail"))
    assert mail_in(tmp_path / "mail")["To"] == "ada@example.com"
