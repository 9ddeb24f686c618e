"""Signing in and out, and the proofs that travel by mail."""

from typing import Annotated

from fastapi import APIRouter, Depends, status
from fastapi.security import OAuth2PasswordRequestForm

from app.dependencies.client import ClientDep, RateLimitByIP
from app.dependencies.current_user import CurrentUserSession
from app.dependencies.services import AccountServiceDep, AuthServiceDep
from app.http.strict_json import JSONRoute
from app.schemas.token import (
    EmailRequest,
    EmailVerification,
    PasswordReset,
    RefreshRequest,
    TokenRead,
)

router = APIRouter(prefix="/auth", tags=["auth"], route_class=JSONRoute)


@router.post("/token", dependencies=[RateLimitByIP], responses={401: {}, 429: {}})
async def create_token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], auth: AuthServiceDep, client: ClientDep
) -> TokenRead:
    """Sign in (OAuth 2.0 password grant): `username` is the e-mail address."""
    # Unlike everywhere else, members that are not known are ignored: RFC 6749 section 3.2 says so.
    return await auth.log_in(form.username, form.password, client)


@router.post("/refresh", dependencies=[RateLimitByIP], responses={401: {}, 429: {}})
async def refresh_token(body: RefreshRequest, auth: AuthServiceDep) -> TokenRead:
    """Exchange a refresh token for a new pair. It works once: if it comes back, the login is ended."""
    return await auth.refresh(body.refresh_token)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(user_session: CurrentUserSession, auth: AuthServiceDep) -> None:
    """End this login: its access and refresh tokens stop working at once."""
    await auth.log_out(user_session)


@router.post("/logout-all", status_code=status.HTTP_204_NO_CONTENT)
async def log_out_everywhere(user_session: CurrentUserSession, auth: AuthServiceDep) -> None:
    """End every login of the user."""
    await auth.log_out_everywhere(user_session.user_id)


@router.post(
    "/verify-email/request",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def request_email_verification(body: EmailRequest, accounts: AccountServiceDep) -> None:
    """Send the mail with the verification link again. The answer is the same for every address."""
    accounts.send_verification(body.email)


@router.post(
    "/verify-email",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def verify_email(body: EmailVerification, accounts: AccountServiceDep) -> None:
    """Confirm an address with the token from the mail, which works once."""
    await accounts.verify_email(body.token)


@router.post(
    "/password-reset/request",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def request_password_reset(body: EmailRequest, accounts: AccountServiceDep) -> None:
    """Send a mail with a link to choose a new password. The answer is the same for every address."""
    accounts.send_password_reset(body.email)


@router.post(
    "/password-reset",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def reset_password(body: PasswordReset, accounts: AccountServiceDep) -> None:
    """Set a new password with the token from the mail, which works once. Ends every login."""
    await accounts.reset_password(body.token, body.new_password.get_secret_value())
