from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.cursor import Position, decode_cursor, encode_cursor
from app.core.exceptions import (
    LastSuperuserError,
    NotASuperuserError,
    NotFoundError,
    SignupClosedError,
    UnauthorizedError,
)
from app.core.passwords import PasswordHasher
from app.crud.user import (
    add_user,
    delete_user,
    find_user_by_email,
    get_user,
    list_users,
    lock_active_superusers,
    lock_user,
)
from app.crud.user_session import revoke_user_sessions
from app.models.user import User
from app.schemas.page import Page
from app.schemas.user import (
    UserAdminUpdate,
    UserCreate,
    UserListParams,
    UserRead,
    UserUpdate,
)
from app.utils.rate_limit import PER_EMAIL_CHANGE, RateLimits


def _send_nothing(_email: str) -> None:
    """Who sits at a terminal of the service needs no proof by mail."""


class UserService:
    def __init__(
        self,
        session: AsyncSession,
        settings: Settings,
        hashing: PasswordHasher,
        send_verification: Callable[[str], None] = _send_nothing,
        rate_limits: RateLimits | None = None,
    ) -> None:
        """At a terminal there are no *rate_limits*."""
        self._session = session
        self._hashing = hashing
        self._send_verification = send_verification
        self._rate_limits = rate_limits
        self._allow_signup = settings.allow_signup
        self._key = settings.secret_key.get_secret_value()

    async def sign_up(self, new: UserCreate) -> User:
        """Raises SignupClosedError, InvalidInputError; the address's constraint, EmailTakenError."""
        if not self._allow_signup:
            raise SignupClosedError
        user = await self._create(new)
        self._send_verification(user.email)
        return user

    async def ensure_superuser(self, new: UserCreate) -> bool:
        """Create the superuser unless there is one with this address. True if it was created.

        Raises NotASuperuserError when the address has another account: anybody may have signed up
        with it.
        """
        user = await find_user_by_email(self._session, new.email)
        if user is not None:
            if not (user.is_superuser and user.is_active):
                raise NotASuperuserError
            return False
        await self._create(new, is_superuser=True, is_verified=True)
        return True

    async def make_superuser(self, email: str) -> None:
        """Give an account all rights. Raises NotFoundError."""
        user = await self._lock_by_email(email)
        user.is_superuser = user.is_active = user.is_verified = True

    async def set_password(self, email: str, new_password: str) -> None:
        """Ends every login of the user. Raises NotFoundError, InvalidInputError."""
        async with self._hashing.slot():
            hashed_password = await self._hashing.hash_new(new_password, email, field="password")
        user = await self._lock_by_email(email)
        user.hashed_password = hashed_password
        await revoke_user_sessions(self._session, user.id)

    async def _lock_by_email(self, email: str) -> User:
        found = await find_user_by_email(self._session, email)
        user = await lock_user(self._session, found.id) if found else None
        if user is None:
            raise NotFoundError("No account has this address.")
        return user

    async def get(self, user_id: UUID) -> User:
        """Raises NotFoundError."""
        return await get_user(self._session, user_id)

    async def list(self, params: UserListParams) -> Page[UserRead]:
        """Raises InvalidCursorError."""
        sort = params.sort
        after = decode_cursor(self._key, sort, params.cursor) if params.cursor else None
        # One more than asked for tells whether there is a next page.
        users = await list_users(self._session, params, after=after, limit=params.limit + 1)
        next_cursor = None
        if len(users) > params.limit:
            last = users[params.limit - 1]
            value = last.email if sort.endswith("email") else last.created_at
            next_cursor = encode_cursor(self._key, sort, Position(value, last.id))
        items = [UserRead.model_validate(user) for user in users[: params.limit]]
        return Page(items=items, next_cursor=next_cursor)

    async def update(self, user: User, change: UserUpdate) -> User:
        """A new address has to be verified again. A taken one raises EmailTakenError's violation; trying
        many, TooManyAttemptsError; an account that was deleted or deactivated meanwhile,
        UnauthorizedError.
        """
        values = change.model_dump()
        is_new_email = values.get("email", user.email) != user.email
        if is_new_email and self._rate_limits is not None:
            # The answer tells whether an address has an account.
            await self._rate_limits.hit(PER_EMAIL_CHANGE, str(user.id))
        # Locked: the address may be in the middle of being verified, which must not count for the new one.
        locked = await lock_user(self._session, user.id)
        if locked is None or not locked.is_active:
            raise UnauthorizedError
        if is_new_email:
            user.is_verified = False
        await self._set(user, values)
        if is_new_email:
            self._send_verification(user.email)
        return user

    async def update_by_admin(self, user_id: UUID, change: UserAdminUpdate) -> User:
        """Raises NotFoundError, LastSuperuserError. Deactivation ends every login of the user."""
        values = change.model_dump()
        if values.get("is_active") is False or values.get("is_superuser") is False:
            await self._check_not_last_superuser(user_id)
        user = await lock_user(self._session, user_id)
        if user is None:
            raise NotFoundError("There is no such user.")
        await self._set(user, values)
        if values.get("is_active") is False:
            # Last: a login that is just being opened waits for the change, and then fails.
            await revoke_user_sessions(self._session, user.id)
        return user

    async def delete(self, user: User) -> None:
        """Raises LastSuperuserError. The user's logins go as well."""
        await self._check_not_last_superuser(user.id)
        if await lock_user(self._session, user.id) is not None:
            await delete_user(self._session, user)

    async def _create(self, new: UserCreate, **flags: bool) -> User:
        password = new.password.get_secret_value()
        async with self._hashing.slot():
            hashed_password = await self._hashing.hash_new(password, new.email, field="password")
        user = User(
            email=new.email, full_name=new.full_name, hashed_password=hashed_password, **flags
        )
        await add_user(self._session, user)
        return user

    async def _set(self, user: User, values: dict[str, Any]) -> User:
        for name, value in values.items():
            setattr(user, name, value)
        await self._session.flush()
        return user

    async def _check_not_last_superuser(self, user_id: UUID) -> None:
        if await lock_active_superusers(self._session) == [user_id]:
            raise LastSuperuserError
