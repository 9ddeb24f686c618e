"""The current user. A route that takes one of these returns 401 or 403 to everybody else."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from app.core.exceptions import ForbiddenError, UnauthorizedError
from app.dependencies.get_db import ReadSessionDep
from app.dependencies.resources import ResourcesDep
from app.models.user import User
from app.models.user_session import UserSession
from app.services.auth_service import authenticate

# auto_error=False: a missing token gets the same problem details as an invalid one.
# The URL is relative, so that /docs works under any path of a proxy.
_bearer = OAuth2PasswordBearer(tokenUrl="api/v1/auth/token", auto_error=False)


async def get_current_user_session(
    reader: ReadSessionDep,
    resources: ResourcesDep,
    access_token: Annotated[str | None, Depends(_bearer)],
) -> UserSession:
    if access_token is None:
        raise UnauthorizedError
    return await authenticate(reader, resources.settings, access_token)


CurrentUserSession = Annotated[UserSession, Depends(get_current_user_session)]


async def get_current_user(user_session: CurrentUserSession) -> User:
    return user_session.user


CurrentUser = Annotated[User, Depends(get_current_user)]


async def get_current_superuser(user: CurrentUser) -> User:
    if not user.is_superuser:
        raise ForbiddenError
    return user


CurrentSuperuser = Annotated[User, Depends(get_current_superuser)]
