from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import NotFoundError
from app.crud.delete import delete_row
from app.crud.page import FetchedPage, fetch_page
from app.db.session import ReadSession, columns_of
from app.models.user import User
from app.models.user_session import RefreshToken, UserSession
from app.schemas.user import UserListParams, UserRead

_SORT_COLUMNS = {"created_at": User.created_at, "email": User.email}

_USERS = select(*columns_of(UserRead, User))
_USER = _USERS.where(User.id == bindparam("user_id"))


class Credentials(NamedTuple):
    """The data to check a password, or a token from a mail, against."""

    user_id: UUID
    email: str
    hashed_password: str
    security_stamp: UUID
    is_active: bool
    is_verified: bool


_CREDENTIALS: Select[UUID, str, str, UUID, bool, bool] = select(
    User.id,
    User.email,
    User.hashed_password,
    User.security_stamp,
    User.is_active,
    User.is_verified,
)
_CREDENTIALS_BY_ID = _CREDENTIALS.where(User.id == bindparam("user_id"))
_CREDENTIALS_BY_EMAIL = _CREDENTIALS.where(User.email == bindparam("email"))


async def add_user(session: AsyncSession, user: User) -> None:
    """Store a new user. Raises EmailTakenError."""
    session.add(user)
    await session.flush()


async def read_user(reader: ReadSession, user_id: UUID) -> UserRead:
    """Return a user. Raises NotFoundError."""
    user = await reader.first_as(UserRead, _USER, {"user_id": user_id})
    if user is None:
        raise NotFoundError("user")
    return user


async def find_credentials(reader: ReadSession, user_id: UUID) -> Credentials | None:
    row = await reader.first(_CREDENTIALS_BY_ID, {"user_id": user_id})
    return Credentials(*row) if row else None


async def find_credentials_by_email(reader: ReadSession, email: str) -> Credentials | None:
    row = await reader.first(_CREDENTIALS_BY_EMAIL, {"email": email})
    return Credentials(*row) if row else None


async def find_user_by_email(session: AsyncSession, email: str) -> User | None:
    return await session.scalar(select(User).where(User.email == email))


async def lock_user(session: AsyncSession, user_id: UUID) -> User | None:
    """Find a user and lock the row until the transaction ends."""
    return await session.get(
        User, user_id, with_for_update={"key_share": True}, populate_existing=True
    )


async def list_users(reader: ReadSession, params: UserListParams) -> FetchedPage[UserRead]:
    """Return a page of users. Raises InvalidCursorError."""
    statement = _USERS
    if params.q is not None:
        statement = statement.where(
            or_(
                User.email.icontains(params.q, autoescape=True),
                User.full_name.icontains(params.q, autoescape=True),
            )
        )
    if params.is_active is not None:
        statement = statement.where(User.is_active == params.is_active)
    return await fetch_page(
        reader, UserRead, statement, params, sort_columns=_SORT_COLUMNS, id_column=User.id
    )


async def replace_password_hash(session: AsyncSession, user_id: UUID, hashed_password: str) -> None:
    """Store a new hash of the same password. Unlike a new password, it keeps the security stamp."""
    statement = update(User).where(User.id == user_id).values(hashed_password=hashed_password)
    await session.execute(statement)


async def lock_active_superusers(session: AsyncSession) -> list[UUID]:
    """Lock the active superusers until the transaction ends, and return their ids."""
    statement = (
        select(User.id).where(User.is_superuser, User.is_active).order_by(User.id).with_for_update()
    )
    return list(await session.scalars(statement))


async def delete_user(session: AsyncSession, user: User) -> None:
    """Delete the user and their sessions. Raises InUseError."""
    # Refresh tokens before their sessions, in the order in which a refresh locks them. The cascade
    # goes the other way, and PostgreSQL would have to end a deadlock.
    sessions = select(UserSession.id).where(UserSession.user_id == user.id)
    await session.execute(delete(RefreshToken).where(RefreshToken.user_session_id.in_(sessions)))
    await delete_row(session, user, "user")
