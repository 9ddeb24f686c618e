"""Proofs that travel by mail: that an address is its user's, and that a user may choose a new password."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import PROJECT_NAME, Settings
from app.core.exceptions import InvalidTokenError
from app.core.passwords import PasswordHasher
from app.core.security import decode_token, encode_token
from app.crud.user import find_user, find_user_by_email, lock_user
from app.crud.user_session import revoke_user_sessions
from app.db.session import Database
from app.models.user import User
from app.utils.email import Mail
from app.utils.rate_limit import PER_MAILBOX, MailPurpose, RateLimits

SendMail = Callable[[Callable[[], Awaitable[Mail | None]]], None]
"""Sends the mail that a function makes, if it makes one, after the request has been answered: how
long the answer took does not tell whether there is an account."""

VERIFICATION_LIFETIME = timedelta(days=2)
RESET_LIFETIME = timedelta(hours=1)


class AccountService:
    def __init__(
        self,
        session: AsyncSession,
        database: Database,
        settings: Settings,
        hashing: PasswordHasher,
        rate_limits: RateLimits,
        send_mail: SendMail,
    ) -> None:
        self._session = session
        self._database = database
        self._settings = settings
        self._key = settings.secret_key.get_secret_value()
        self._hashing = hashing
        self._rate_limits = rate_limits
        self._send_mail = send_mail

    def send_verification(self, email: str) -> None:
        """Do nothing, and don't say so, unless the address waits for its verification."""
        self._send_mail(partial(self._verification_mail, email))

    def send_password_reset(self, email: str) -> None:
        """Do nothing, and don't say so, unless the address has an active account."""
        self._send_mail(partial(self._reset_mail, email))

    async def _verification_mail(self, email: str) -> Mail | None:
        user = await self._find_active_user(email)
        if user is None or user.is_verified or not await self._may_write("verify-email", user):
            return None
        subject = f"Confirm your e-mail address for {PROJECT_NAME}"
        return self._mail(user, subject, "verify-email", VERIFICATION_LIFETIME)

    async def _reset_mail(self, email: str) -> Mail | None:
        user = await self._find_active_user(email)
        if user is None or not await self._may_write("reset-password", user):
            return None
        subject = f"Choose a new password for {PROJECT_NAME}"
        return self._mail(user, subject, "reset-password", RESET_LIFETIME)

    async def _find_active_user(self, email: str) -> User | None:
        async with self._database.read_session() as session:
            user = await find_user_by_email(session, email)
        return user if user is not None and user.is_active else None

    async def _may_write(self, purpose: MailPurpose, user: User) -> bool:
        """Counts a mail that is about to be sent, and no other: else anybody could use up what its
        owner will need.
        """
        limit = PER_MAILBOX[purpose]
        # Nobody's mailbox is flooded by means of this service, nor many strangers' by an account that
        # changes its address again and again.
        return await self._rate_limits.allows(limit, user.email) and await self._rate_limits.allows(
            limit, str(user.id)
        )

    def _mail(self, user: User, subject: str, purpose: MailPurpose, lifetime: timedelta) -> Mail:
        claims = {"sub": str(user.id), "security_stamp": str(user.security_stamp)}
        token = encode_token(self._key, purpose, claims, lifetime)
        hours = int(lifetime / timedelta(hours=1))
        return Mail(
            to=user.email,
            subject=subject,
            template=purpose.replace("-", "_"),
            context={
                "project_name": PROJECT_NAME,
                "valid_for": "1 hour" if hours == 1 else f"{hours} hours",
                "link": f"{str(self._settings.frontend_url).rstrip('/')}/{purpose}?token={token}",
            },
        )

    async def verify_email(self, token: str) -> None:
        """Raises InvalidTokenError."""
        user = await self._user_of("verify-email", token, self._session, lock_user)
        if user.is_verified:
            raise InvalidTokenError
        user.is_verified = True

    async def reset_password(self, token: str, new_password: str) -> None:
        """Ends every login of the user. Raises InvalidTokenError, InvalidInputError."""
        # In a session of its own: no connection of the pool is held while the password is hashed.
        async with self._database.read_session() as session:
            checked = await self._user_of("reset-password", token, session, find_user)
        async with self._hashing.slot():
            hashed_password = await self._hashing.hash_new(
                new_password, checked.email, field="new_password"
            )
        user = await self._user_of("reset-password", token, self._session, lock_user)
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user.id)

    async def _user_of(
        self,
        purpose: MailPurpose,
        token: str,
        session: AsyncSession,
        find: Callable[[AsyncSession, UUID], Awaitable[User | None]],
    ) -> User:
        claims = decode_token(self._key, purpose, token)
        user = claims and await find(session, UUID(claims["sub"]))
        if (
            not claims
            or not user
            or not user.is_active
            or claims["security_stamp"] != str(user.security_stamp)
        ):
            raise InvalidTokenError
        return user
