"""E-mail verification and password reset, for services with EMAIL_ENABLED."""

from fastapi import Response, status

from app.core.exceptions import TooManyAttemptsError
from app.dependencies.mail import AccountServiceDep, OutboxDep
from app.dependencies.rate_limit import RateLimitByIP
from app.http.openapi import problems
from app.http.router import Router
from app.schemas.account import EmailRequest, EmailVerification, PasswordReset

router = Router(
    prefix="/auth",
    tags=["auth"],
    dependencies=[RateLimitByIP],
    responses=problems(TooManyAttemptsError),
)


@router.post("/verify-email/request", status_code=status.HTTP_202_ACCEPTED, response_class=Response)
async def request_email_verification(body: EmailRequest, outbox: OutboxDep) -> None:
    """Request a verification mail.

    The response is the same whether or not the address has an account.
    """
    outbox.add("verify-email", body.email)


@router.post("/verify-email", status_code=status.HTTP_204_NO_CONTENT)
async def verify_email(body: EmailVerification, accounts: AccountServiceDep) -> None:
    """Verify an e-mail address.

    Takes the token from the verification mail, which works once.
    """
    await accounts.verify_email(body.token)


@router.post(
    "/password-reset/request", status_code=status.HTTP_202_ACCEPTED, response_class=Response
)
async def request_password_reset(body: EmailRequest, outbox: OutboxDep) -> None:
    """Request a password reset.

    Sends a mail with a link. The response is the same whether or not the address has an account.
    """
    outbox.add("reset-password", body.email)


@router.post("/password-reset", status_code=status.HTTP_204_NO_CONTENT)
async def reset_password(body: PasswordReset, accounts: AccountServiceDep) -> None:
    """Reset a password.

    Takes the token from the mail, which works once. Revokes every session of the user.
    """
    await accounts.reset_password(body.token, body.new_password.get_secret_value())
