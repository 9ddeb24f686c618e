from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request

from app.core.passwords import PasswordHashing
from app.dependencies.get_db import DatabaseDep, SessionDep
from app.dependencies.settings import SettingsDep
from app.services.account_service import AccountService, SendMail
from app.services.auth_service import AuthService
from app.services.health_service import HealthService
from app.services.user_service import UserService
from app.utils.email import Mailer


def get_hashing(request: Request) -> PasswordHashing:
    hashing: PasswordHashing = request.app.state.hashing
    return hashing


def get_send_mail(request: Request, background_tasks: BackgroundTasks) -> SendMail:
    """Background tasks run after the commit, and not at all if it failed. The mailer returns at once."""
    mailer: Mailer = request.app.state.mailer
    return lambda mail: background_tasks.add_task(mailer.send, mail)


HashingDep = Annotated[PasswordHashing, Depends(get_hashing)]
SendMailDep = Annotated[SendMail, Depends(get_send_mail)]


def get_health_service(session: SessionDep) -> HealthService:
    return HealthService(session)


def get_auth_service(
    session: SessionDep, database: DatabaseDep, settings: SettingsDep, hashing: HashingDep
) -> AuthService:
    return AuthService(session, database, settings, hashing)


def get_account_service(
    session: SessionDep, settings: SettingsDep, hashing: HashingDep, send_mail: SendMailDep
) -> AccountService:
    return AccountService(session, settings, hashing, send_mail)


AccountServiceDep = Annotated[AccountService, Depends(get_account_service)]


def get_user_service(
    session: SessionDep, settings: SettingsDep, hashing: HashingDep, accounts: AccountServiceDep
) -> UserService:
    return UserService(session, settings, hashing, accounts.send_verification)


HealthServiceDep = Annotated[HealthService, Depends(get_health_service)]
AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]
UserServiceDep = Annotated[UserService, Depends(get_user_service)]
