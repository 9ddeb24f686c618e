"""Mails of a request: its outbox, and the service for mailed tokens."""

from typing import Annotated

from fastapi import BackgroundTasks, Depends

from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.dependencies.resources import ResourcesDep
from app.services.account_mail import AccountMailer, Outbox
from app.services.account_service import AccountService


async def get_outbox(resources: ResourcesDep, background_tasks: BackgroundTasks) -> Outbox:
    """Return an outbox whose mails are sent after the response, or never if the request fails."""
    outbox = Outbox()
    account_mailer = AccountMailer(
        resources.settings, resources.database, resources.rate_limits, resources.mailer
    )
    if resources.settings.email_enabled:
        background_tasks.add_task(account_mailer.send, outbox)
    return outbox


OutboxDep = Annotated[Outbox, Depends(get_outbox)]


async def get_account_service(
    session: SessionDep, reader: ReadSessionDep, resources: ResourcesDep
) -> AccountService:
    return AccountService(session, reader, resources.settings, resources.password_hasher)


AccountServiceDep = Annotated[AccountService, Depends(get_account_service)]
