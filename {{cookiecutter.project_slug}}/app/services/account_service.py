"""E-mail verification, password reset and password change."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.exceptions import InvalidTokenError, WrongPasswordError
from app.core.passwords import PasswordHasher
from app.core.security import decode_token
from app.crud.user import find_user, lock_user
from app.crud.user_session import revoke_user_sessions
from app.db.session import ReadSession
from app.models.user import User
from app.models.user_session import UserSession
from app.schemas.user import PasswordChange
from app.utils.rate_limit import PER_PASSWORD_CHANGE, MailPurpose, RateLimits


class AccountService:
    def __init__(
        self,
        session: AsyncSession,
        reader: ReadSession,
        settings: Settings,
        password_hasher: PasswordHasher,
        rate_limits: RateLimits,
    ) -> None:
        self._session = session
        self._reader = reader
        self._key = settings.secret_key.get_secret_value()
        self._hasher = password_hasher
        self._rate_limits = rate_limits

    async def verify_email(self, token: str) -> None:
        """Mark the address that the token was mailed to as verified. Raises InvalidTokenError."""
        user_id, security_stamp = self._decode("verify-email", token)
        user = _check_stamp(await lock_user(self._session, user_id), security_stamp)
        if user.is_verified:
            raise InvalidTokenError
        user.is_verified = True

    async def reset_password(self, token: str, new_password: str) -> None:
        """Set a new password and revoke every session of the user.

        Raises InvalidTokenError, or InvalidInputError for a password that is rejected.
        """
        user_id, security_stamp = self._decode("reset-password", token)
        user = _check_stamp(await find_user(self._reader, user_id), security_stamp)
        async with self._hasher.slot():
            hashed_password = await self._hasher.hash_new(
                new_password, user.email, field="new_password"
            )
        user = _check_stamp(await lock_user(self._session, user_id), security_stamp)
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user_id)

    async def change_password(self, current: UserSession, change: PasswordChange) -> None:
        """Set a new password and revoke every other session of the user.

        Raises WrongPasswordError, InvalidInputError for a new password that is rejected, and
        TooManyAttemptsError: a stolen access token must not help to guess the password.
        """
        checked = current.user
        await self._rate_limits.hit(PER_PASSWORD_CHANGE, str(checked.id))
        async with self._hasher.slot():
            current_password = change.current_password.get_secret_value()
            if not await self._hasher.verify(current_password, checked.hashed_password):
                raise WrongPasswordError
            await self._rate_limits.clear(PER_PASSWORD_CHANGE, str(checked.id))
            hashed_password = await self._hasher.hash_new(
                change.new_password.get_secret_value(), checked.email, field="new_password"
            )
        user = await lock_user(self._session, checked.id)
        # A reset may have come in between, which the old password must not undo.
        if user is None or user.security_stamp != checked.security_stamp:
            raise WrongPasswordError
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user.id, except_id=current.id)

    def _decode(self, purpose: MailPurpose, token: str) -> tuple[UUID, str]:
        """Return the user id and the security stamp of a mailed token."""
        claims = decode_token(self._key, purpose, token)
        if claims is None:
            raise InvalidTokenError
        return UUID(claims["sub"]), claims["stamp"]


def _check_stamp(user: User | None, security_stamp: str) -> User:
    """Return the user that a token was made for, if it is still valid for them."""
    if user is None or not user.is_active or str(user.security_stamp) != security_stamp:
        raise InvalidTokenError
    return user
