"""Who is asking. A route that takes one of these answers 401 or 403 to everybody else."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from app.core.exceptions import ForbiddenError, UnauthorizedError
from app.dependencies.services import AuthServiceDep
from app.models.login import Login
from app.models.user import User

# auto_error=False: a missing token gets the same answer as a wrong one, in app/api/errors.py.
_bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


async def get_current_login(
    auth: AuthServiceDep, access_token: Annotated[str | None, Depends(_bearer)]
) -> Login:
    if access_token is None:
        raise UnauthorizedError
    return await auth.authenticate(access_token)


CurrentLogin = Annotated[Login, Depends(get_current_login)]


async def get_current_user(login: CurrentLogin) -> User:
    return login.user


CurrentUser = Annotated[User, Depends(get_current_user)]


async def get_current_superuser(user: CurrentUser) -> User:
    if not user.is_superuser:
        raise ForbiddenError
    return user


CurrentSuperuser = Annotated[User, Depends(get_current_superuser)]
