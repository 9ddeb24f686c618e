from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.cursor import Position, decode_cursor, encode_cursor
from app.core.exceptions import LastSuperuserError, SignupClosedError
from app.core.passwords import PasswordHashing
from app.crud.login import end_logins_of_user
from app.crud.user import (
    add_user,
    delete_user,
    find_user_by_email,
    get_user,
    list_users,
    lock_active_superusers,
)
from app.models.user import User
from app.schemas.page import Page
from app.schemas.user import (
    UserAdminUpdate,
    UserCreate,
    UserListParams,
    UserRead,
    UserUpdate,
)


class UserService:
    def __init__(
        self,
        session: AsyncSession,
        settings: Settings,
        hashing: PasswordHashing,
        send_verification: Callable[[str], None],
    ) -> None:
        self._session = session
        self._hashing = hashing
        self._send_verification = send_verification
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
        """Create the superuser unless the address has an account. True if it was created."""
        if await find_user_by_email(self._session, new.email) is not None:
            return False
        await self._create(new, is_superuser=True, is_verified=True)
        return True

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
        """A new address has to be verified again. A taken one raises EmailTakenError's violation."""
        values = change.model_dump()
        is_new_email = values.get("email", user.email) != user.email
        if is_new_email:
            user.is_verified = False
        await self._set(user, values)
        if is_new_email:
            self._send_verification(user.email)
        return user

    async def update_by_admin(self, user_id: UUID, change: UserAdminUpdate) -> User:
        """Raises NotFoundError, LastSuperuserError. Deactivation ends every login of the user."""
        user = await get_user(self._session, user_id)
        values = change.model_dump()
        if values.get("is_active") is False or values.get("is_superuser") is False:
            await self._refuse_last_superuser(user)
        await self._set(user, values)
        if values.get("is_active") is False:
            # Last: a login that is just being opened waits for the change, and then fails.
            await end_logins_of_user(self._session, user.id)
        return user

    async def delete(self, user: User) -> None:
        """Raises LastSuperuserError. The user's logins go as well."""
        await self._refuse_last_superuser(user)
        await delete_user(self._session, user)

    async def _create(self, new: UserCreate, **flags: bool) -> User:
        password = new.password.get_secret_value()
        async with self._hashing.turn():
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

    async def _refuse_last_superuser(self, user: User) -> None:
        if await lock_active_superusers(self._session) == [user.id]:
            raise LastSuperuserError
