"""User sessions: signing in, refreshing tokens, signing out."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.client import Client
from app.core.config import Settings
from app.core.exceptions import (
    InvalidRefreshTokenError,
    RefreshTokenReusedError,
    TooManyAttemptsError,
    UnauthorizedError,
    WrongCredentialsError,
)
from app.core.logging import user_id_var
from app.core.passwords import PasswordHasher
from app.core.security import (
    decode_access_token,
    encode_access_token,
    hmac_sha256,
    key_id,
    new_refresh_token,
)
from app.core.security_events import log_security_event
from app.crud.user import (
    Credentials,
    find_credentials_by_email,
    lock_user,
    replace_password_hash,
)
from app.crud.user_session import (
    add_refresh_token,
    add_user_session,
    consume_refresh_token,
    find_active_user_session,
    find_current_session,
    find_user_session_of_used_token,
    revoke_user_session,
    revoke_user_sessions,
)
from app.db.base import utc_now
from app.db.session import ReadSession
from app.models.user_session import RefreshToken, UserSession
from app.schemas.token import TokenRead
from app.schemas.types import parse_email
from app.schemas.user import CurrentSession
from app.utils.rate_limit import PER_ACCOUNT, RateLimits


async def authenticate(
    reader: ReadSession, settings: Settings, access_token: str
) -> CurrentSession:
    """Return the session that the token belongs to, with its user. Raises UnauthorizedError."""
    user_session_id = decode_access_token(settings.secret_keys, access_token)
    if user_session_id is None:
        raise UnauthorizedError
    session = await find_current_session(reader, user_session_id)
    if session is None:
        raise UnauthorizedError
    user_id_var.set(str(session.user.id))
    return session


class AuthService:
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
        self._hasher = password_hasher
        self._rate_limits = rate_limits
        self._keys = settings.secret_keys
        self._access_lifetime = timedelta(minutes=settings.access_token_minutes)
        self._refresh_lifetime = timedelta(days=settings.refresh_token_days)
        self._session_lifetime = timedelta(days=settings.session_days)

    async def log_in(self, username: str, password: str, client: Client) -> TokenRead:
        """Sign a user in. It takes the same time whether or not the address is known.

        Raises WrongCredentialsError, and TooManyAttemptsError after too many wrong passwords for
        one address, even if this password is right.
        """
        email = parse_email(username)
        try:
            await self._rate_limits.hit(PER_ACCOUNT, email or username)
        except TooManyAttemptsError:
            blocked = await find_credentials_by_email(self._reader, email) if email else None
            log_security_event("login-blocked", account_id=blocked.user_id if blocked else None)
            raise
        # The slot comes before the user is read, so that queued logins don't touch the database.
        async with self._hasher.slot():
            checked, new_hash = await self._check_password(email, password)
        await self._rate_limits.clear(PER_ACCOUNT, checked.email)
        # Locked: a concurrent password change revokes all stored sessions and must see this one.
        # The stamp says whether the password is still the one that was checked; the hash doesn't,
        # since a concurrent login may have stored a new hash of the same password.
        user = await lock_user(self._session, checked.user_id)
        if user is None or not user.is_active or user.security_stamp != checked.security_stamp:
            log_security_event(
                "login-failed", account_id=checked.user_id, reason="account inactive or changed"
            )
            raise WrongCredentialsError
        if new_hash is not None:
            await replace_password_hash(self._session, user.id, new_hash)
        return await self.open_session(user.id, client)

    async def open_session(self, user_id: UUID, client: Client) -> TokenRead:
        """Open a session for an authenticated user and return its first tokens."""
        user_session = UserSession(
            user_id=user_id, user_agent=client.user_agent, ip_address=client.ip_address
        )
        await add_user_session(self._session, user_session)
        log_security_event("session-opened", account_id=user_id, session_id=user_session.id)
        return await self._issue_tokens(user_session)

    async def refresh(self, refresh_token: str) -> TokenRead:
        """Exchange a refresh token for new tokens.

        Raises InvalidRefreshTokenError, or RefreshTokenReusedError for a used token.
        """
        # A random token of 256 bits needs no slow hash.
        hashes = [hmac_sha256(key, refresh_token) for key in self._keys]
        token = await consume_refresh_token(self._session, hashes)
        if token is None:
            await self._revoke_if_reused(hashes)
            raise InvalidRefreshTokenError
        user_session = await find_active_user_session(self._session, token.user_session_id)
        if user_session is None:
            raise InvalidRefreshTokenError
        user_session.last_used_at = utc_now()
        return await self._issue_tokens(user_session)

    async def log_out(self, current: CurrentSession) -> None:
        await revoke_user_session(self._session, current.id, current.user.id)
        log_security_event("session-revoked", account_id=current.user.id, session_id=current.id)

    async def log_out_everywhere(self, user_id: UUID) -> None:
        await revoke_user_sessions(self._session, user_id)
        log_security_event("sessions-revoked", account_id=user_id)

    async def _check_password(
        self, email: str | None, password: str
    ) -> tuple[Credentials, str | None]:
        """Return the credentials, and a new hash to store if the hashing parameters have changed."""
        user = await find_credentials_by_email(self._reader, email) if email else None
        is_right = await self._hasher.verify(password, user.hashed_password if user else None)
        if user is None:
            log_security_event("login-failed", reason="unknown address")
            raise WrongCredentialsError
        if not is_right:
            log_security_event("login-failed", account_id=user.user_id, reason="wrong password")
            raise WrongCredentialsError
        if self._hasher.needs_rehash(user.hashed_password):
            return user, await self._hasher.hash(password)
        return user, None

    async def _revoke_if_reused(self, hashes: list[str]) -> None:
        """Revoke the session of a token that was used before. Raises RefreshTokenReusedError."""
        user_session = await find_user_session_of_used_token(self._session, hashes)
        if user_session is None:
            return
        await revoke_user_session(self._session, user_session.id, user_session.user_id)
        log_security_event(
            "refresh-token-reused", account_id=user_session.user_id, session_id=user_session.id
        )
        raise RefreshTokenReusedError

    async def _issue_tokens(self, user_session: UserSession) -> TokenRead:
        refresh_token = new_refresh_token()
        expires_at = min(
            utc_now() + self._refresh_lifetime, user_session.created_at + self._session_lifetime
        )
        key = self._keys[0]
        token = RefreshToken(
            user_session_id=user_session.id,
            token_hash=hmac_sha256(key, refresh_token),
            key_id=key_id(key),
            expires_at=expires_at,
        )
        await add_refresh_token(self._session, token)
        return TokenRead(
            access_token=encode_access_token(
                key,
                user_id=user_session.user_id,
                user_session_id=user_session.id,
                lifetime=self._access_lifetime,
            ),
            refresh_token=refresh_token,
            expires_in=int(self._access_lifetime.total_seconds()),
        )
