"""Proofs that travel by mail: that an address is its user's, and that a user may choose a new password."""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import PROJECT_NAME, Settings
from app.core.exceptions import InvalidTokenError
from app.core.passwords import PasswordHashing, refuse_guessable_password
from app.core.security import decode_token, encode_token, fingerprint
from app.crud.login import end_logins_of_user
from app.crud.user import find_user, find_user_by_email
from app.models.user import User
from app.utils.email import Mail

MailPurpose = Literal["verify-email", "reset-password"]
SendMail = Callable[[Mail], None]
"""Sends a mail once the request's changes are stored."""

VERIFICATION_LIFETIME = timedelta(days=2)
RESET_LIFETIME = timedelta(hours=1)


class AccountService:
    def __init__(
        self,
        session: AsyncSession,
        settings: Settings,
        hashing: PasswordHashing,
        send_mail: SendMail,
    ) -> None:
        self._session = session
        self._settings = settings
        self._key = settings.secret_key.get_secret_value()
        self._hashing = hashing
        self._send_mail = send_mail

    def send_verification(self, user: User) -> None:
        self._send_mail(
            Mail(
                to=user.email,
                subject=f"Confirm your e-mail address for {PROJECT_NAME}",
                template="verify_email",
                context={
                    "project_name": PROJECT_NAME,
                    "valid_for": "2 days",
                    "link": self._link("verify-email", user, VERIFICATION_LIFETIME),
                },
            )
        )

    async def request_verification(self, email: str) -> None:
        """Does nothing, and doesn't say so, unless the address waits for its verification."""
        user = await find_user_by_email(self._session, email)
        if user is not None and user.is_active and not user.is_verified:
            self.send_verification(user)

    async def verify_email(self, token: str) -> None:
        """Raises InvalidTokenError."""
        user = await self._user_of("verify-email", token)
        user.is_verified = True

    async def request_password_reset(self, email: str) -> None:
        """Does nothing, and doesn't say so, unless the address has an active account."""
        user = await find_user_by_email(self._session, email)
        if user is not None and user.is_active:
            self._send_mail(
                Mail(
                    to=user.email,
                    subject=f"Choose a new password for {PROJECT_NAME}",
                    template="reset_password",
                    context={
                        "project_name": PROJECT_NAME,
                        "valid_for": "1 hour",
                        "link": self._link("reset-password", user, RESET_LIFETIME),
                    },
                )
            )

    async def reset_password(self, token: str, new_password: str) -> None:
        """Ends every login of the user. Raises InvalidTokenError, InvalidInputError."""
        user = await self._user_of("reset-password", token)
        refuse_guessable_password(new_password, user.email, field="new_password")
        user.hashed_password = await self._hashing.hash(new_password)
        await end_logins_of_user(self._session, user.id)

    def _state(self, user: User) -> str:
        # A token dies when the address or the password changes, and when it has been used:
        # verifying changes is_verified, a reset changes the hash.
        return fingerprint(self._key, user.email, user.hashed_password, str(user.is_verified))

    def _link(self, purpose: MailPurpose, user: User, lifetime: timedelta) -> str:
        claims = {"sub": str(user.id), "state": self._state(user)}
        token = encode_token(self._key, purpose, claims, lifetime)
        return f"{str(self._settings.frontend_url).rstrip('/')}/{purpose}?token={token}"

    async def _user_of(self, purpose: MailPurpose, token: str) -> User:
        claims = decode_token(self._key, purpose, token)
        user = claims and await find_user(self._session, UUID(claims["sub"]))
        if not claims or not user or not user.is_active or claims["state"] != self._state(user):
            raise InvalidTokenError
        return user
