"""Limits of mails: nobody's mailbox is flooded, and nobody uses up the mails of others."""

import httpx2
import pytest
from sqlalchemy import update

from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user import User
from tests.mailbox import Mailbox
from tests.support import (
    AUTH,
    ME,
    USERS,
    UserClient,
    sign_up_body,
)

EMAIL = "ada@example.com"


async def request_mails(client: httpx2.AsyncClient, path: str, count: int) -> None:
    for _ in range(count):
        response = await client.post(f"{AUTH}/{path}/request", json={"email": EMAIL})
        assert response.status_code == 202


async def test_account_sends_mail_to_few_new_addresses(
    ada: UserClient, mailbox: Mailbox, resources: Resources
) -> None:
    for number in range(10):
        response = await ada.patch(ME, json={"email": f"stranger{number}@example.com"})
        assert response.status_code == 200
    await resources.mailer.close()
    assert len(mailbox.messages()) == 5


async def test_mailbox_gets_few_mails_of_one_kind(
    ada: UserClient, mailbox: Mailbox, resources: Resources
) -> None:
    await request_mails(ada, "password-reset", 10)
    await resources.mailer.close()
    assert len(mailbox.messages()) == 5


@pytest.mark.parametrize(
    ("wanted", "other"),
    [("verify-email", "password-reset"), ("password-reset", "verify-email")],
)
async def test_requests_that_send_nothing_use_up_no_mails(
    client: httpx2.AsyncClient,
    database: Database,
    mailbox: Mailbox,
    resources: Resources,
    wanted: str,
    other: str,
) -> None:
    async def set_flags(**flags: bool) -> None:
        async with database.session.begin() as session:
            await session.execute(update(User).values(**flags))

    # While the account doesn't exist.
    await request_mails(client, wanted, 6)
    body = sign_up_body(EMAIL)
    assert (await client.post(USERS, json=body)).status_code == 201
    # While the account may not get this mail.
    await set_flags(is_active=False, is_verified=True)
    await request_mails(client, wanted, 6)
    # Mails of the other kind have a limit of their own.
    await set_flags(is_active=True, is_verified=wanted == "password-reset")
    await request_mails(client, other, 6)
    before = len(await mailbox.wait_for(6 if wanted == "verify-email" else 1))
    await request_mails(client, wanted, 1)
    await resources.mailer.close()
    assert len(mailbox.messages()) == before + 1
