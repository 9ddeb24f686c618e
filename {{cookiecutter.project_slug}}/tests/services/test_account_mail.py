"""Mails about accounts: what is written when a request has been answered, and what only fails."""

import logging

import pytest
from sqlalchemy import text

from app.db.engine import make_engine
from app.db.session import Database
from app.dependencies.resources import Resources
from app.services.account_mail import AccountMailer, Outbox
from tests.mailbox import Mailbox
from tests.support import make_user


@pytest.fixture
async def account_mailer(resources: Resources, database: Database) -> AccountMailer:
    """The mailer of a database with Ada, whose address isn't verified, and some others."""
    async with database.session.begin() as session:
        for name, values in {
            "ada": {},
            "verified": {"is_verified": True},
            "inactive": {"is_active": False},
        }.items():
            session.add(make_user(f"{name}@example.com", **values))
    return AccountMailer(
        resources.settings, resources.database, resources.rate_limits, resources.mailer
    )


async def test_mails_of_an_outbox_are_sent_in_order(
    account_mailer: AccountMailer, resources: Resources, mailbox: Mailbox
) -> None:
    outbox = Outbox()
    outbox.add("verify-email", "ada@example.com")
    outbox.add("reset-password", "verified@example.com")
    await account_mailer.send(outbox)
    await resources.mailer.close()
    assert sorted(mail["To"] for mail in mailbox.messages()) == [
        "ada@example.com",
        "verified@example.com",
    ]


async def test_account_that_must_not_get_a_mail_gets_none(
    account_mailer: AccountMailer, resources: Resources, mailbox: Mailbox
) -> None:
    outbox = Outbox()
    outbox.add("verify-email", "verified@example.com")
    for name in ("inactive", "unknown"):
        outbox.add("verify-email", f"{name}@example.com")
        outbox.add("reset-password", f"{name}@example.com")
    await account_mailer.send(outbox)
    await resources.mailer.close()
    assert mailbox.messages() == []


@pytest.mark.usefixtures("account_mailer")
async def test_exhausted_pool_is_logged_and_later_mails_are_sent(
    resources: Resources,
    mailbox: Mailbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outbox = Outbox()
    outbox.add("verify-email", "ada@example.com")
    small = Database(make_engine(resources.database.engine.url, pool_size=1, pool_timeout=0.01))
    starved = AccountMailer(resources.settings, small, resources.rate_limits, resources.mailer)
    async with small.session() as session:
        await session.execute(text("SELECT 1"))
        await starved.send(outbox)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "A mail could not be written")
    assert record.__dict__["reason"] == "UnavailableError"
    assert "ada@example.com" not in str(record.__dict__)
    await starved.send(outbox)
    await small.engine.dispose()
    await resources.mailer.close()
    assert len(mailbox.messages()) == 1
