"""Sign in and out, verify an e-mail address, reset a password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response, status
from fastapi.security import OAuth2PasswordRequestForm

from app.core.exceptions import (
    InvalidRefreshTokenError,
    TooManyAttemptsError,
    WrongCredentialsError,
)
from app.dependencies.client import ClientDep, RateLimitByIP
from app.dependencies.current_user import CurrentUserSession
from app.dependencies.services import AccountServiceDep, AuthServiceDep
from app.http.openapi import problems
from app.http.strict_json import FormBody, JSONRoute
from app.schemas.token import (
    EmailRequest,
    EmailVerification,
    PasswordReset,
    RefreshRequest,
    TokenRead,
)

router = APIRouter(prefix="/auth", tags=["auth"], route_class=JSONRoute)


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
    await auth.log_out_everywhere(user_session.user_id)


@router.post(
    "/verify-email/request",
    status_code=status.HTTP_202_ACCEPTED,
    response_class=Response,
    dependencies=[RateLimitByIP],
    responses=problems(TooManyAttemptsError),
)
async def request_email_verification(body: EmailRequest, accounts: AccountServiceDep) -> None:
    """Request a verification mail.

    The response is the same whether or not the address has an account.
    """
    accounts.send_verification(body.email)


@router.post(
    "/verify-email",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[RateLimitByIP],
    responses=problems(TooManyAttemptsError),
)
async def verify_email(body: EmailVerification, accounts: AccountServiceDep) -> None:
    """Verify an e-mail address.

    Takes the token from the verification mail, which works once.
    """
    await accounts.verify_email(body.token)


@router.post(
    "/password-reset/request",
    status_code=status.HTTP_202_ACCEPTED,
    response_class=Response,
    dependencies=[RateLimitByIP],
    responses=problems(TooManyAttemptsError),
)
async def request_password_reset(body: EmailRequest, accounts: AccountServiceDep) -> None:
    """Request a password reset.

    Sends a mail with a link. The response is the same whether or not the address has an account.
    """
    accounts.send_password_reset(body.email)


@router.post(
    "/password-reset",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[RateLimitByIP],
    responses=problems(TooManyAttemptsError),
)
async def reset_password(body: PasswordReset, accounts: AccountServiceDep) -> None:
    """Reset a password.

    Takes the token from the mail, which works once. Revokes every session of the user.
    """
    await accounts.reset_password(body.token, body.new_password.get_secret_value())
