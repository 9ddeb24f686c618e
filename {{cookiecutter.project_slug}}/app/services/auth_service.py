from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.exceptions import (
    InvalidRefreshTokenError,
    NotFoundError,
    RefreshTokenReusedError,
    UnauthorizedError,
    WrongCredentialsError,
    WrongPasswordError,
)
from app.core.passwords import PasswordHasher
from app.core.security import (
    DUMMY_HASH,
    decode_access_token,
    encode_access_token,
    hmac_sha256,
    needs_rehash,
    new_refresh_token,
)
from app.crud.user import find_user_by_email, lock_user, replace_hash
from app.crud.user_session import (
    add_refresh_token,
    add_user_session,
    consume_refresh_token,
    find_active_user_session,
    find_refresh_token,
    list_active_user_sessions,
    revoke_user_session,
    revoke_user_sessions,
)
from app.db.base import utc_now
from app.db.errors import translate_db_error
from app.db.session import Database
from app.models.user import User
from app.models.user_session import UserSession
from app.schemas.token import TokenRead
from app.schemas.types import parse_email
from app.schemas.user import PasswordChange
from app.schemas.user_session import UserSessionRead
from app.utils.rate_limit import PER_ACCOUNT, PER_PASSWORD_CHANGE, RateLimits


@dataclass(frozen=True)
class Client:
    """Where a login comes from, as its user is shown later."""

    user_agent: str | None
    ip_address: str | None


class AuthService:
    def __init__(
        self,
        session: AsyncSession,
        database: Database,
        settings: Settings,
        hashing: PasswordHasher,
        rate_limits: RateLimits,
    ) -> None:
        self._session = session
        self._database = database
        self._hashing = hashing
        self._rate_limits = rate_limits
        self._key = settings.secret_key.get_secret_value()
        self._access_lifetime = timedelta(minutes=settings.access_token_minutes)
        self._refresh_lifetime = timedelta(days=settings.refresh_token_days)
        self._session_lifetime = timedelta(days=settings.session_days)

    async def log_in(self, username: str, password: str, client: Client) -> TokenRead:
        """Raises WrongCredentialsError, after the same time whether or not the address is known.
        Too many wrong passwords for one address: TooManyAttemptsError, for a right one as well.
        """
        email = parse_email(username)
        await self._rate_limits.hit(PER_ACCOUNT, email or username)
        # One after another: those who wait have not even read their user yet.
        async with self._hashing.slot():
            checked, new_hash = await self._check_password(email, password)
        await self._rate_limits.clear(PER_ACCOUNT, checked.email)
        # Read again in this transaction: the password may have been changed meanwhile. Locked: who is
        # just changing it ends the logins that are stored by then, and must find this one.
        # Its security_stamp tells: another login may just have stored the same password with a new hash.
        user = await lock_user(self._session, checked.id)
        if user is None or not user.is_active or user.security_stamp != checked.security_stamp:
            raise WrongCredentialsError
        if new_hash is not None:
            await replace_hash(self._session, user.id, new_hash)
        user_session = UserSession(
            user_id=user.id, user_agent=client.user_agent, ip_address=client.ip_address
        )
        await add_user_session(self._session, user_session)
        return await self._issue(user_session)

    async def _check_password(self, email: str | None, password: str) -> tuple[User, str | None]:
        """The user, and a new hash to store if the parameters of hashing have changed."""
        user = await self._find_user(email) if email else None
        matches = await self._hashing.verify(password, user.hashed_password if user else DUMMY_HASH)
        if user is None or not matches:
            raise WrongCredentialsError
        if needs_rehash(user.hashed_password):
            return user, await self._hashing.hash(password)
        return user, None

    async def _find_user(self, email: str) -> User | None:
        """Raises UnavailableError, of which those hear who wait for their turn of hashing."""
        try:
            # In a session of its own: no connection of the pool is held while the password is hashed.
            async with self._database.read_session() as session:
                return await find_user_by_email(session, email)
        except Exception as error:
            if (app_error := translate_db_error(error)) is not None:
                raise app_error from error
            raise

    async def refresh(self, refresh_token: str) -> TokenRead:
        """Raises InvalidRefreshTokenError; RefreshTokenReusedError if the token was spent before."""
        token_hash = self._hash_token(refresh_token)
        token = await consume_refresh_token(self._session, token_hash)
        if token is None:
            token = await find_refresh_token(self._session, token_hash)
            if token is None or token.used_at is None:
                raise InvalidRefreshTokenError
            user_session = await find_active_user_session(self._session, token.user_session_id)
            if user_session is not None:
                await revoke_user_session(self._session, user_session.id, user_session.user_id)
            raise RefreshTokenReusedError
        user_session = await find_active_user_session(self._session, token.user_session_id)
        if user_session is None:
            raise InvalidRefreshTokenError
        user_session.last_used_at = utc_now()
        return await self._issue(user_session)

    async def authenticate(self, access_token: str) -> UserSession:
        """The login that the token belongs to, with its user. Raises UnauthorizedError."""
        user_session_id = decode_access_token(self._key, access_token)
        user_session = (
            await find_active_user_session(self._session, user_session_id)
            if user_session_id
            else None
        )
        if user_session is None:
            raise UnauthorizedError
        return user_session

    async def list_user_sessions(self, current: UserSession) -> list[UserSessionRead]:
        """The active logins of the user, the newest first."""
        user_sessions = await list_active_user_sessions(self._session, current.user_id)
        return [
            UserSessionRead(
                id=user_session.id,
                created_at=user_session.created_at,
                last_used_at=user_session.last_used_at,
                user_agent=user_session.user_agent,
                ip_address=user_session.ip_address,
                current=user_session.id == current.id,
            )
            for user_session in user_sessions
        ]

    async def log_out(self, current: UserSession) -> None:
        await revoke_user_session(self._session, current.id, current.user_id)

    async def revoke_user_session(self, user_session_id: UUID, user_id: UUID) -> None:
        """Raises NotFoundError when the user has no such active login."""
        if not await revoke_user_session(self._session, user_session_id, user_id):
            raise NotFoundError("There is no such user_session.")

    async def log_out_everywhere(self, user_id: UUID) -> None:
        await revoke_user_sessions(self._session, user_id)

    async def change_password(self, current: UserSession, change: PasswordChange) -> None:
        """End every other login of the user.

        Raises WrongPasswordError, InvalidInputError, and TooManyAttemptsError: who has stolen an
        access token must not find out the password with it.
        """
        checked = current.user
        new_password = change.new_password.get_secret_value()
        current_password = change.current_password.get_secret_value()
        await self._rate_limits.hit(PER_PASSWORD_CHANGE, str(checked.id))
        # Gives the connection back, and with it the lock of SQLite, while the passwords are hashed.
        await self._session.close()
        async with self._hashing.slot():
            if not await self._hashing.verify(current_password, checked.hashed_password):
                raise WrongPasswordError
            await self._rate_limits.clear(PER_PASSWORD_CHANGE, str(checked.id))
            hashed_password = await self._hashing.hash_new(
                new_password, checked.email, field="new_password"
            )
        # Whoever knows the old password must not undo a reset that came in between.
        user = await lock_user(self._session, checked.id)
        if user is None or user.security_stamp != checked.security_stamp:
            raise WrongPasswordError
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user.id, except_id=current.id)

    def _hash_token(self, refresh_token: str) -> str:
        # A random token of 256 bits needs no slow hash.
        return hmac_sha256(self._key, refresh_token)

    async def _issue(self, user_session: UserSession) -> TokenRead:
        refresh_token = new_refresh_token()
        expires_at = min(
            utc_now() + self._refresh_lifetime, user_session.created_at + self._session_lifetime
        )
        token_hash = self._hash_token(refresh_token)
        await add_refresh_token(self._session, user_session.id, token_hash, expires_at)
        return TokenRead(
            access_token=encode_access_token(
                self._key,
                user_id=user_session.user_id,
                user_session_id=user_session.id,
                lifetime=self._access_lifetime,
            ),
            refresh_token=refresh_token,
            expires_in=int(self._access_lifetime.total_seconds()),
        )
