"""Accounts: sign-up, profile, administration."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.exceptions import (
    LastSuperuserError,
    NotASuperuserError,
    NotFoundError,
    SignupClosedError,
    UnauthorizedError,
    WrongPasswordError,
)
from app.core.passwords import PasswordHasher
from app.core.security_events import log_security_event
from app.crud.page import FetchedPage
from app.crud.user import (
    add_user,
    delete_user,
    find_credentials,
    find_user_by_email,
    list_users,
    lock_active_superusers,
    lock_user,
    read_user,
)
from app.crud.user_session import revoke_user_sessions
from app.db.session import ReadSession
from app.models.user import User
from app.schemas.user import (
    CurrentSession,
    PasswordChange,
    UserAdminUpdate,
    UserCreate,
    UserListParams,
    UserRead,
    UserUpdate,
)
from app.services.account_mail import Outbox
from app.utils.rate_limit import PER_EMAIL_CHANGE, PER_PASSWORD_CHANGE, RateLimits


class UserReader:
    """Reads users, for GET routes. It has no session that could write."""

    def __init__(self, reader: ReadSession) -> None:
        self._reader = reader

    async def get(self, user_id: UUID) -> UserRead:
        """Return a user. Raises NotFoundError."""
        return await read_user(self._reader, user_id)

    async def list_users(self, params: UserListParams) -> FetchedPage[UserRead]:
        """Return a page of users. Raises InvalidCursorError."""
        return await list_users(self._reader, params)


class UserService:
    """Creates, changes and deletes users."""

    def __init__(
        self,
        session: AsyncSession,
        reader: ReadSession,
        settings: Settings,
        password_hasher: PasswordHasher,
        rate_limits: RateLimits,
        outbox: Outbox,
    ) -> None:
        self._session = session
        self._reader = reader
        self._hasher = password_hasher
        self._rate_limits = rate_limits
        self._outbox = outbox
        self._allow_signup = settings.allow_signup

    async def sign_up(self, new: UserCreate) -> User:
        """Create an account and ask for a verification mail.

        Raises SignupClosedError, EmailTakenError, or InvalidInputError for a rejected password.
        """
        if not self._allow_signup:
            raise SignupClosedError
        user = await self._create(new)
        self._outbox.add("verify-email", user.email)
        return user

    async def ensure_superuser(self, new: UserCreate) -> bool:
        """Create a superuser unless one with this address exists. Return whether it was created.

        Raises NotASuperuserError when the address belongs to any other account, since anybody may
        have signed up with it.
        """
        user = await find_user_by_email(self._session, new.email)
        if user is not None:
            if not (user.is_superuser and user.is_active):
                raise NotASuperuserError
            return False
        await self._create(new, is_superuser=True, is_verified=True)
        return True

    async def make_superuser(self, email: str) -> None:
        """Give an existing account all rights. Raises NotFoundError."""
        user = await self._lock_by_email(email)
        user.is_superuser = user.is_active = user.is_verified = True
        log_security_event("rights-changed", account_id=user.id, is_superuser=True)

    async def set_password(self, email: str, new_password: str) -> None:
        """Set the password and revoke every session of the user.

        Raises NotFoundError, or InvalidInputError for a rejected password.
        """
        async with self._hasher.slot():
            hashed_password = await self._hasher.hash_new(new_password, email, field="password")
        user = await self._lock_by_email(email)
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user.id)
        log_security_event("password-reset", account_id=user.id)

    async def update(self, current: UserRead, change: UserUpdate) -> User:
        """Change the user's own profile. A new address is unverified until it is confirmed.

        Raises EmailTakenError, TooManyAttemptsError for too many new addresses, and
        UnauthorizedError for an account that was deleted or deactivated in the meantime.
        """
        values = change.model_dump()
        is_new_email = values.get("email", current.email) != current.email
        if is_new_email:
            # The response reveals whether an address has an account.
            await self._rate_limits.hit(PER_EMAIL_CHANGE, str(current.id))
        # Lock the row: a concurrent verification of the old address must not verify the new one.
        user = await lock_user(self._session, current.id)
        if user is None or not user.is_active:
            raise UnauthorizedError
        if is_new_email:
            user.is_verified = False
        await self._set(user, values)
        if is_new_email:
            log_security_event("email-changed", account_id=user.id)
            self._outbox.add("verify-email", user.email)
        return user

    async def change_password(self, current: CurrentSession, change: PasswordChange) -> None:
        """Set a new password and revoke every other session of the user.

        Raises WrongPasswordError, InvalidInputError for a new password that is rejected, and
        TooManyAttemptsError: a stolen access token must not help to guess the password.
        """
        user_id = current.user.id
        await self._rate_limits.hit(PER_PASSWORD_CHANGE, str(user_id))
        async with self._hasher.slot():
            checked = await find_credentials(self._reader, user_id)
            current_password = change.current_password.get_secret_value()
            if checked is None or not await self._hasher.verify(
                current_password, checked.hashed_password
            ):
                log_security_event("password-change-failed", account_id=user_id)
                raise WrongPasswordError
            await self._rate_limits.clear(PER_PASSWORD_CHANGE, str(user_id))
            hashed_password = await self._hasher.hash_new(
                change.new_password.get_secret_value(), checked.email, field="new_password"
            )
        user = await lock_user(self._session, user_id)
        # A reset may have come in between, which the old password must not undo.
        if user is None or user.security_stamp != checked.security_stamp:
            raise WrongPasswordError
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user.id, except_id=current.id)
        log_security_event("password-changed", account_id=user.id)

    async def update_by_admin(self, user_id: UUID, change: UserAdminUpdate) -> User:
        """Change the rights of any user. Deactivation revokes every session of the user.

        Raises NotFoundError, LastSuperuserError.
        """
        values = change.model_dump()
        if values.get("is_active") is False or values.get("is_superuser") is False:
            await self._check_not_last_superuser(user_id)
        user = await self._lock(user_id)
        await self._set(user, values)
        if values:
            log_security_event("rights-changed", account_id=user.id, **values)
        if values.get("is_active") is False:
            # A login in progress waits for the lock, and then fails because the user is inactive.
            await revoke_user_sessions(self._session, user.id)
        return user

    async def delete(self, user_id: UUID) -> None:
        """Delete the user and their sessions.

        Raises NotFoundError, LastSuperuserError, InUseError.
        """
        await self._check_not_last_superuser(user_id)
        await delete_user(self._session, await self._lock(user_id))
        log_security_event("account-deleted", account_id=user_id)

    async def _create(self, new: UserCreate, **flags: bool) -> User:
        password = new.password.get_secret_value()
        async with self._hasher.slot():
            hashed_password = await self._hasher.hash_new(password, new.email, field="password")
        user = User(
            email=new.email, full_name=new.full_name, hashed_password=hashed_password, **flags
        )
        await add_user(self._session, user)
        log_security_event("account-created", account_id=user.id, is_superuser=user.is_superuser)
        return user

    async def _lock(self, user_id: UUID) -> User:
        user = await lock_user(self._session, user_id)
        if user is None:
            raise NotFoundError("user")
        return user

    async def _lock_by_email(self, email: str) -> User:
        found = await find_user_by_email(self._session, email)
        if found is None:
            raise NotFoundError("account")
        return await self._lock(found.id)

    async def _set(self, user: User, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(user, name, value)
        await self._session.flush()

    async def _check_not_last_superuser(self, user_id: UUID) -> None:
        if await lock_active_superusers(self._session) == [user_id]:
            raise LastSuperuserError
