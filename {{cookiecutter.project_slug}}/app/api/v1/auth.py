"""Signing in and out, e-mail verification and password reset."""

from typing import Annotated

from fastapi import APIRouter, Depends, status
from fastapi.security import OAuth2PasswordRequestForm

from app.dependencies.client import ClientDep, RateLimitByIP
from app.dependencies.current_user import CurrentUserSession
from app.dependencies.services import AccountServiceDep, AuthServiceDep, OutboxDep
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
    """Sign in (OAuth 2.0 password grant). `username` is the e-mail address."""
    # Unlike in JSON bodies, unknown fields are ignored, as RFC 6749 section 3.2 says.
    return await auth.log_in(form.username, form.password, client)


@router.post("/refresh", dependencies=[RateLimitByIP], responses={401: {}, 429: {}})
async def refresh_token(body: RefreshRequest, auth: AuthServiceDep) -> TokenRead:
    """Exchange a refresh token for a new pair. It works once: one that is used again revokes the session."""
    return await auth.refresh(body.refresh_token)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(user_session: CurrentUserSession, auth: AuthServiceDep) -> None:
    """Sign out: the access and refresh tokens of this session stop working at once."""
    await auth.log_out(user_session)


@router.post("/logout-all", status_code=status.HTTP_204_NO_CONTENT)
async def log_out_everywhere(user_session: CurrentUserSession, auth: AuthServiceDep) -> None:
    """Sign out of every session."""
    await auth.log_out_everywhere(user_session.user_id)


@router.post(
    "/verify-email/request",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def request_email_verification(body: EmailRequest, outbox: OutboxDep) -> None:
    """Send the verification mail again. The answer is the same for every address."""
    outbox.add("verify-email", body.email)


@router.post(
    "/verify-email",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def verify_email(body: EmailVerification, accounts: AccountServiceDep) -> None:
    """Confirm an e-mail address with the token from the mail, which works once."""
    await accounts.verify_email(body.token)


@router.post(
    "/password-reset/request",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def request_password_reset(body: EmailRequest, outbox: OutboxDep) -> None:
    """Send a password reset mail. The answer is the same for every address."""
    outbox.add("reset-password", body.email)


@router.post(
    "/password-reset",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[RateLimitByIP],
    responses={429: {}},
)
async def reset_password(body: PasswordReset, accounts: AccountServiceDep) -> None:
    """Set a new password with the token from the mail, which works once. Revokes every session."""
    await accounts.reset_password(body.token, body.new_password.get_secret_value())
