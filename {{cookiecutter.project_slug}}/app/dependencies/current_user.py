"""The current user. A route that takes one of these returns 401 or 403 to everybody else."""

from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer

from app.core.exceptions import ForbiddenError, UnauthorizedError
from app.core.security_events import log_security_event
from app.dependencies.resources import get_resources
from app.schemas.user import CurrentSession, UserRead
from app.services.auth_service import authenticate

# auto_error=False: a missing token gets the same problem details as an invalid one.
# The URL is relative, so that /docs works under any path of a proxy.
_bearer = OAuth2PasswordBearer(tokenUrl="api/v1/auth/token", auto_error=False)


async def get_current_session(
    connection: HTTPConnection, access_token: Annotated[str | None, Depends(_bearer)]
) -> CurrentSession:
    if access_token is None:
        raise UnauthorizedError
    resources = get_resources(connection)
    return await authenticate(resources.database.read_session, resources.settings, access_token)


CurrentUserSession = Annotated[CurrentSession, Depends(get_current_session)]


async def get_current_user(session: CurrentUserSession) -> UserRead:
    return session.user


CurrentUser = Annotated[UserRead, Depends(get_current_user)]


async def get_optional_user(
    connection: HTTPConnection, access_token: Annotated[str | None, Depends(_bearer)]
) -> UserRead | None:
    # A token that is wrong or expired gets 401, so that the client refreshes it.
    if access_token is None:
        return None
    return (await get_current_session(connection, access_token)).user


# For routes that anybody may call and that show more to signed-in users.
OptionalUser = Annotated[UserRead | None, Depends(get_optional_user)]
# Such a route also takes `openapi_extra=OPTIONAL_SIGN_IN`: FastAPI's document would demand a token.
OPTIONAL_SIGN_IN: dict[str, Any] = {"security": [{}]}


async def get_current_superuser(session: CurrentUserSession) -> UserRead:
    if not session.user.is_superuser:
        log_security_event("access-denied", account_id=session.user.id)
        raise ForbiddenError
    return session.user


CurrentSuperuser = Annotated[UserRead, Depends(get_current_superuser)]
