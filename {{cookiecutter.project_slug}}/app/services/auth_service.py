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
from app.core.passwords import PasswordHashing
from app.core.security import (
    NOBODYS_HASH,
    decode_access_token,
    encode_access_token,
    keyed_hash,
    needs_rehash,
    new_refresh_token,
)
from app.crud.login import (
    add_login,
    add_refresh_token,
    end_login,
    end_logins_of_user,
    find_active_login,
    find_refresh_token,
    list_active_logins,
    spend_refresh_token,
)
from app.crud.user import find_user_by_email, lock_user, replace_hash
from app.db.base import utc_now
from app.db.errors import to_app_error
from app.db.session import Database
from app.models.login import Login
from app.models.user import User
from app.schemas.login import LoginRead
from app.schemas.token import TokenRead
from app.schemas.types import find_email
from app.schemas.user import PasswordChange
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
        hashing: PasswordHashing,
        rate_limits: RateLimits,
    ) -> None:
        self._session = session
        self._database = database
        self._hashing = hashing
        self._rate_limits = rate_limits
        self._key = settings.secret_key.get_secret_value()
        self._access_lifetime = timedelta(minutes=settings.access_token_minutes)
        self._refresh_lifetime = timedelta(days=settings.refresh_token_days)
        self._login_lifetime = timedelta(days=settings.login_days)

    async def log_in(self, username: str, password: str, client: Client) -> TokenRead:
        """Raises WrongCredentialsError, after the same time whether or not the address is known.
        Too many wrong passwords for one address: TooManyAttemptsError, for a right one as well.
        """
        email = find_email(username)
        await self._rate_limits.hit(PER_ACCOUNT, email or username)
        # One after another: those who wait have not even read their user yet.
        async with self._hashing.turn():
            checked, new_hash = await self._check_password(email, password)
        await self._rate_limits.clear(PER_ACCOUNT, checked.email)
        # Read again in this transaction: the password may have been changed meanwhile. Locked: who is
        # just changing it ends the logins that are stored by then, and must find this one.
        # Its stamp tells: another login may just have stored the same password with a new hash.
        user = await lock_user(self._session, checked.id)
        if user is None or not user.is_active or user.stamp != checked.stamp:
            raise WrongCredentialsError
        if new_hash is not None:
            await replace_hash(self._session, user.id, new_hash)
        login = Login(user_id=user.id, user_agent=client.user_agent, ip_address=client.ip_address)
        await add_login(self._session, login)
        return await self._issue(login)

    async def _check_password(self, email: str | None, password: str) -> tuple[User, str | None]:
        """The user, and a new hash to store if the parameters of hashing have changed."""
        user = await self._find_user(email) if email else None
        matches = await self._hashing.verify(
            password, user.hashed_password if user else NOBODYS_HASH
        )
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
            if (app_error := to_app_error(error)) is not None:
                raise app_error from error
            raise

    async def refresh(self, refresh_token: str) -> TokenRead:
        """Raises InvalidRefreshTokenError; RefreshTokenReusedError if the token was spent before."""
        token_hash = self._hash_token(refresh_token)
        token = await spend_refresh_token(self._session, token_hash)
        if token is None:
            token = await find_refresh_token(self._session, token_hash)
            if token is None or token.used_at is None:
                raise InvalidRefreshTokenError
            login = await find_active_login(self._session, token.login_id)
            if login is not None:
                await end_login(self._session, login.id, login.user_id)
            raise RefreshTokenReusedError
        login = await find_active_login(self._session, token.login_id)
        if login is None:
            raise InvalidRefreshTokenError
        login.last_used_at = utc_now()
        return await self._issue(login)

    async def authenticate(self, access_token: str) -> Login:
        """The login that the token belongs to, with its user. Raises UnauthorizedError."""
        login_id = decode_access_token(self._key, access_token)
        login = await find_active_login(self._session, login_id) if login_id else None
        if login is None:
            raise UnauthorizedError
        return login

    async def list_logins(self, current: Login) -> list[LoginRead]:
        """The active logins of the user, the newest first."""
        logins = await list_active_logins(self._session, current.user_id)
        return [
            LoginRead(
                id=login.id,
                created_at=login.created_at,
                last_used_at=login.last_used_at,
                user_agent=login.user_agent,
                ip_address=login.ip_address,
                current=login.id == current.id,
            )
            for login in logins
        ]

    async def log_out(self, current: Login) -> None:
        await end_login(self._session, current.id, current.user_id)

    async def end_login(self, login_id: UUID, user_id: UUID) -> None:
        """Raises NotFoundError when the user has no such active login."""
        if not await end_login(self._session, login_id, user_id):
            raise NotFoundError("There is no such login.")

    async def log_out_everywhere(self, user_id: UUID) -> None:
        await end_logins_of_user(self._session, user_id)

    async def change_password(self, current: Login, change: PasswordChange) -> None:
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
        async with self._hashing.turn():
            if not await self._hashing.verify(current_password, checked.hashed_password):
                raise WrongPasswordError
            await self._rate_limits.clear(PER_PASSWORD_CHANGE, str(checked.id))
            hashed_password = await self._hashing.hash_new(
                new_password, checked.email, field="new_password"
            )
        # Whoever knows the old password must not undo a reset that came in between.
        user = await lock_user(self._session, checked.id)
        if user is None or user.stamp != checked.stamp:
            raise WrongPasswordError
        user.hashed_password = hashed_password
        await end_logins_of_user(self._session, user.id, except_login_id=current.id)

    def _hash_token(self, refresh_token: str) -> str:
        # A random token of 256 bits needs no slow hash.
        return keyed_hash(self._key, refresh_token)

    async def _issue(self, login: Login) -> TokenRead:
        refresh_token = new_refresh_token()
        expires_at = min(
            utc_now() + self._refresh_lifetime, login.created_at + self._login_lifetime
        )
        token_hash = self._hash_token(refresh_token)
        await add_refresh_token(self._session, login.id, token_hash, expires_at)
        return TokenRead(
            access_token=encode_access_token(
                self._key,
                user_id=login.user_id,
                login_id=login.id,
                lifetime=self._access_lifetime,
            ),
            refresh_token=refresh_token,
            expires_in=int(self._access_lifetime.total_seconds()),
        )
