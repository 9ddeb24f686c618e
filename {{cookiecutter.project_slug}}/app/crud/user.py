from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.cursor import Position
from app.core.exceptions import NotFoundError
from app.crud.page import keyset_page
from app.models.user import User
from app.models.user_session import RefreshToken, UserSession
from app.schemas.user import UserListParams


async def add_user(session: AsyncSession, user: User) -> None:
    """Raises IntegrityError when the address is taken."""
    session.add(user)
    await session.flush()


async def find_user(session: AsyncSession, user_id: UUID) -> User | None:
    return await session.get(User, user_id)


async def lock_user(session: AsyncSession, user_id: UUID) -> User | None:
    """The user as of now; nobody else changes it until the transaction ends."""
    return await session.get(
        User, user_id, with_for_update={"key_share": True}, populate_existing=True
    )


async def get_user(session: AsyncSession, user_id: UUID) -> User:
    """Raises NotFoundError."""
    user = await find_user(session, user_id)
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


async def find_user_by_email(session: AsyncSession, email: str) -> User | None:
    return await session.scalar(select(User).where(User.email == email))


async def list_users(
    session: AsyncSession, params: UserListParams, *, after: Position | None, limit: int
) -> list[User]:
    statement = select(User)
    if params.q is not None:
        statement = statement.where(
            or_(
                User.email.icontains(params.q, autoescape=True),
                User.full_name.icontains(params.q, autoescape=True),
            )
        )
    if params.is_active is not None:
        statement = statement.where(User.is_active == params.is_active)
    statement = keyset_page(
        statement,
        User.email if params.sort.endswith("email") else User.created_at,
        User.id,
        descending=params.sort.startswith("-"),
        after=after,
    )
    return list(await session.scalars(statement.limit(limit)))


async def replace_hash(session: AsyncSession, user_id: UUID, hashed_password: str) -> None:
    """Store the same password, hashed anew. Unlike a new one it leaves the user's security_stamp alone."""
    statement = update(User).where(User.id == user_id).values(hashed_password=hashed_password)
    await session.execute(statement)


async def lock_active_superusers(session: AsyncSession) -> list[UUID]:
    """The ids of the active superusers, none of whom can change until the transaction ends."""
    statement = (
        select(User.id).where(User.is_superuser, User.is_active).order_by(User.id).with_for_update()
    )
    return list(await session.scalars(statement))


async def delete_user(session: AsyncSession, user: User) -> None:
    # Refresh tokens before their logins, in the order in which a refresh locks them. The cascade goes
    # the other way, and PostgreSQL would have to end a deadlock.
    user_sessions = select(UserSession.id).where(UserSession.user_id == user.id)
    await session.execute(
        delete(RefreshToken).where(RefreshToken.user_session_id.in_(user_sessions))
    )
    await session.delete(user)
    await session.flush()
