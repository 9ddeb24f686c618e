"""Sign in and out."""

from typing import Annotated

from fastapi import Depends, status
from fastapi.security import OAuth2PasswordRequestForm

from app.core.exceptions import (
    InvalidRefreshTokenError,
    TooManyAttemptsError,
    WrongCredentialsError,
)
from app.dependencies.client import ClientDep
from app.dependencies.current_user import CurrentUserSession
from app.dependencies.rate_limit import RateLimitByIP
from app.dependencies.services import AuthServiceDep
from app.http.forms import FormBody
from app.http.openapi import problems
from app.http.router import Router
from app.schemas.token import RefreshRequest, TokenRead

router = Router(prefix="/auth", tags=["auth"])


@router.post(
    "/token",
    dependencies=[RateLimitByIP, FormBody],
    responses=problems(WrongCredentialsError, TooManyAttemptsError),
)
async def create_token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], auth: AuthServiceDep, client: ClientDep
) -> TokenRead:
    """Sign in.

    OAuth 2.0 password grant; `username` is the e-mail address.
    """
    # Unknown fields are ignored here, unlike everywhere else: RFC 6749 section 3.2.
    return await auth.log_in(form.username, form.password, client)


@router.post(
    "/refresh",
    dependencies=[RateLimitByIP],
    responses=problems(InvalidRefreshTokenError, TooManyAttemptsError),
)
async def refresh_token(body: RefreshRequest, auth: AuthServiceDep) -> TokenRead:
    """Exchange a refresh token for a new pair.

    A refresh token works once. Using it again revokes the session.
    """
    return await auth.refresh(body.refresh_token)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(user_session: CurrentUserSession, auth: AuthServiceDep) -> None:
    """Sign out.

    The access and refresh tokens of this session stop working at once.
    """
    await auth.log_out(user_session)


@router.post("/logout-all", status_code=status.HTTP_204_NO_CONTENT)
async def log_out_everywhere(user_session: CurrentUserSession, auth: AuthServiceDep) -> None:
    """Sign out everywhere.

    Revokes every session of the current user.
    """
    await auth.log_out_everywhere(user_session.user.id)
