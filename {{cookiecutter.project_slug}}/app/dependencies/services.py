"""Services, created for each request. GET routes take readers, writing routes take services."""

from typing import Annotated

from fastapi import Depends

from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.dependencies.mail import OutboxDep
from app.dependencies.resources import ResourcesDep
from app.services.auth_service import AuthService
from app.services.user_service import UserReader, UserService


async def get_auth_service(
    session: SessionDep, reader: ReadSessionDep, resources: ResourcesDep
) -> AuthService:
    return AuthService(
        session, reader, resources.settings, resources.password_hasher, resources.rate_limits
    )


async def get_user_reader(reader: ReadSessionDep) -> UserReader:
    return UserReader(reader)


async def get_user_service(
    session: SessionDep, reader: ReadSessionDep, resources: ResourcesDep, outbox: OutboxDep
) -> UserService:
    return UserService(
        session,
        reader,
        resources.settings,
        resources.password_hasher,
        resources.rate_limits,
        outbox,
    )


AuthServiceDep = Annotated[AuthService, Depends(get_auth_service)]
UserReaderDep = Annotated[UserReader, Depends(get_user_reader)]
UserServiceDep = Annotated[UserService, Depends(get_user_service)]
