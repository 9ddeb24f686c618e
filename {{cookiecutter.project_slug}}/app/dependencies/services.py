"""Services, created for each request. GET routes take readers, writing routes take services."""

from typing import Annotated

from fastapi import BackgroundTasks, Depends

from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.dependencies.resources import ResourcesDep
from app.services.account_mail import AccountMailer, Outbox
from app.services.account_service import AccountService
from app.services.auth_service import AuthService
from app.services.user_service import UserReader, UserService


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


async def get_auth_service(
    session: SessionDep, reader: ReadSessionDep, resources: ResourcesDep
) -> AuthService:
    return AuthService(
        session, reader, resources.settings, resources.password_hasher, resources.rate_limits
    )


async def get_account_service(
    session: SessionDep, reader: ReadSessionDep, resources: ResourcesDep
) -> AccountService:
    return AccountService(session, reader, resources.settings, resources.password_hasher)


async def get_user_reader(reader: ReadSessionDep) -> UserReader:
    return UserReader(reader)


async def get_user_service(
    session: SessionDep, resources: ResourcesDep, outbox: OutboxDep
) -> UserService:
    return UserService(
        session, resources.settings, resources.password_hasher, resources.rate_limits, outbox
    )


AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]
AccountServiceDep = Annotated[AccountService, Depends(get_account_service)]
UserReaderDep = Annotated[UserReader, Depends(get_user_reader)]
UserServiceDep = Annotated[UserService, Depends(get_user_service)]
