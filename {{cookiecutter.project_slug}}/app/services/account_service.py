"""E-mail verification and password reset: what the tokens in mails do."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.exceptions import InvalidTokenError
from app.core.passwords import PasswordHasher
from app.core.security import decode_token
from app.core.security_events import log_security_event
from app.crud.user import Credentials, find_credentials, lock_user
from app.crud.user_session import revoke_user_sessions
from app.db.session import ReadSession
from app.models.user import User
from app.services.account_mail import MailPurpose

Checked = TypeVar("Checked", User, Credentials)


class AccountService:
    def __init__(
        self,
        session: AsyncSession,
        reader: ReadSession,
        settings: Settings,
        password_hasher: PasswordHasher,
    ) -> None:
        self._session = session
        self._reader = reader
        self._keys = settings.secret_keys
        self._hasher = password_hasher

    async def verify_email(self, token: str) -> None:
        """Mark the address that the token was mailed to as verified. Raises InvalidTokenError."""
        user_id, security_stamp = self._decode("verify-email", token)
        user = _check_stamp(await lock_user(self._session, user_id), security_stamp)
        if user.is_verified:
            raise InvalidTokenError
        user.is_verified = True
        log_security_event("email-verified", account_id=user_id)

    async def reset_password(self, token: str, new_password: str) -> None:
        """Set a new password and revoke every session of the user.

        Raises InvalidTokenError, or InvalidInputError for a password that is rejected.
        """
        user_id, security_stamp = self._decode("reset-password", token)
        checked = _check_stamp(await find_credentials(self._reader, user_id), security_stamp)
        async with self._hasher.slot():
            hashed_password = await self._hasher.hash_new(
                new_password, checked.email, field="new_password"
            )
        user = _check_stamp(await lock_user(self._session, user_id), security_stamp)
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user_id)
        log_security_event("password-reset", account_id=user_id)

    def _decode(self, purpose: MailPurpose, token: str) -> tuple[UUID, str]:
        """Return the user id and the security stamp of a mailed token."""
        claims = decode_token(self._keys, purpose, token)
        if claims is None:
            raise InvalidTokenError
        return UUID(claims["sub"]), claims["stamp"]


def _check_stamp(user: Checked | None, security_stamp: str) -> Checked:
    """Return the user that a token was made for, if it is still valid for them."""
    if user is None or not user.is_active or str(user.security_stamp) != security_stamp:
        raise InvalidTokenError
    return user
