import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import BackgroundTasks, Depends

from app.core.passwords import PasswordHasher
from app.dependencies.get_db import DatabaseDep, SessionDep
from app.dependencies.resources import ResourcesDep
from app.dependencies.settings import SettingsDep
from app.http.shutdown import shutdown
from app.services.account_service import AccountService, SendMail
from app.services.auth_service import AuthService
from app.services.health_service import HealthService
from app.services.user_service import UserService
from app.utils.email import Mail
from app.utils.rate_limit import RateLimits

logger = logging.getLogger(__name__)


async def get_hashing(resources: ResourcesDep) -> PasswordHasher:
    return resources.password_hasher


async def get_send_mail(resources: ResourcesDep, background_tasks: BackgroundTasks) -> SendMail:
    """Background tasks run after the commit, and not at all if it failed. The mailer returns at once."""
    mailer = resources.mailer

    async def send(make_mail: Callable[[], Awaitable[Mail | None]]) -> None:
        try:
            mail = await make_mail()
        except Exception as error:  # noqa: BLE001 -- the answer is out, only the log can tell
            # By its type alone: its text may hold the address.
            logger.error("A mail could not be made", extra={"reason": type(error).__name__})  # noqa: TRY400 -- as above
            return
        if mail is not None:
            await mailer.send(mail)

    return lambda make_mail: background_tasks.add_task(send, make_mail)


async def get_rate_limits(resources: ResourcesDep) -> RateLimits:
    return resources.rate_limits


HashingDep = Annotated[PasswordHasher, Depends(get_hashing)]
SendMailDep = Annotated[SendMail, Depends(get_send_mail)]
RateLimitsDep = Annotated[RateLimits, Depends(get_rate_limits)]


async def get_health_service(session: SessionDep) -> HealthService:
    return HealthService(session, is_stopping=shutdown.begun)


async def get_auth_service(
    session: SessionDep,
    database: DatabaseDep,
    settings: SettingsDep,
    hashing: HashingDep,
    rate_limits: RateLimitsDep,
) -> AuthService:
    return AuthService(session, database, settings, hashing, rate_limits)


async def get_account_service(
    session: SessionDep,
    database: DatabaseDep,
    settings: SettingsDep,
    hashing: HashingDep,
    rate_limits: RateLimitsDep,
    send_mail: SendMailDep,
) -> AccountService:
    return AccountService(session, database, settings, hashing, rate_limits, send_mail)


AccountServiceDep = Annotated[AccountService, Depends(get_account_service)]


async def get_user_service(
    session: SessionDep,
    settings: SettingsDep,
    hashing: HashingDep,
    accounts: AccountServiceDep,
    rate_limits: RateLimitsDep,
) -> UserService:
    return UserService(session, settings, hashing, accounts.send_verification, rate_limits)


HealthServiceDep = Annotated[HealthService, Depends(get_health_service)]
AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]
UserServiceDep = Annotated[UserService, Depends(get_user_service)]
