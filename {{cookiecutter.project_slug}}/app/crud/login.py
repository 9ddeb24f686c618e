from datetime import datetime
from uuid import UUID

from sqlalchemy import Exists, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from app.db.base import utc_now
from app.models.login import Login, RefreshToken
from app.models.user import User


async def add_login(session: AsyncSession, login: Login) -> None:
    session.add(login)
    await session.flush()


async def find_active_login(session: AsyncSession, login_id: UUID) -> Login | None:
    """The login, with its user, if neither has ended: one query for each request."""
    statement = (
        select(Login)
        .join(Login.user)
        .options(contains_eager(Login.user))
        .where(Login.id == login_id, Login.ended_at.is_(None), User.is_active)
    )
    return await session.scalar(statement)


async def end_login(session: AsyncSession, login_id: UUID, user_id: UUID) -> bool:
    """End a login. False if the user has no such login, or it has ended before."""
    statement = (
        update(Login)
        .where(Login.id == login_id, Login.user_id == user_id, Login.ended_at.is_(None))
        .values(ended_at=utc_now())
        .returning(Login.id)
    )
    return await session.scalar(statement) is not None


async def end_logins_of_user(
    session: AsyncSession, user_id: UUID, *, except_login_id: UUID | None = None
) -> None:
    statement = update(Login).where(Login.user_id == user_id, Login.ended_at.is_(None))
    if except_login_id is not None:
        statement = statement.where(Login.id != except_login_id)
    await session.execute(statement.values(ended_at=utc_now()))


def _can_go_on(now: datetime) -> Exists:
    return exists().where(RefreshToken.login_id == Login.id, RefreshToken.expires_at >= now)


async def list_active_logins(session: AsyncSession, user_id: UUID) -> list[Login]:
    """The logins that have not ended and can still be refreshed, the newest first."""
    statement = (
        select(Login)
        .where(Login.user_id == user_id, Login.ended_at.is_(None), _can_go_on(utc_now()))
        .order_by(Login.id.desc())
    )
    return list(await session.scalars(statement))


async def add_refresh_token(
    session: AsyncSession, login_id: UUID, token_hash: str, expires_at: datetime
) -> None:
    session.add(RefreshToken(login_id=login_id, token_hash=token_hash, expires_at=expires_at))
    await session.flush()


async def spend_refresh_token(session: AsyncSession, token_hash: str) -> RefreshToken | None:
    """Spend an unspent, unexpired token and return it.

    One UPDATE decides, so among any number of concurrent requests one wins; the others get None.
    """
    now = utc_now()
    statement = (
        update(RefreshToken)
        .where(
            RefreshToken.token_hash == token_hash,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(RefreshToken)
    )
    return await session.scalar(statement)


async def find_refresh_token(session: AsyncSession, token_hash: str) -> RefreshToken | None:
    return await session.scalar(select(RefreshToken).where(RefreshToken.token_hash == token_hash))


async def delete_finished_logins(
    session: AsyncSession, *, before: datetime, after_id: UUID, limit: int
) -> list[UUID]:
    """Delete logins that have ended, or whose last refresh token has expired, with their tokens."""
    finished = (
        select(Login.id)
        .where(Login.id > after_id, or_(Login.ended_at < before, ~_can_go_on(before)))
        .order_by(Login.id)
        .limit(limit)
    )
    statement = delete(Login).where(Login.id.in_(finished)).returning(Login.id)
    return list(await session.scalars(statement))


async def delete_expired_spent_tokens(
    session: AsyncSession, *, before: datetime, after_id: UUID, limit: int
) -> list[UUID]:
    """Delete spent tokens of logins that go on. One that is not expired has to stay: if it comes
    back, it was stolen.
    """
    expired = (
        select(RefreshToken.id)
        .where(
            RefreshToken.id > after_id,
            RefreshToken.used_at.is_not(None),
            RefreshToken.expires_at < before,
        )
        .order_by(RefreshToken.id)
        .limit(limit)
    )
    statement = delete(RefreshToken).where(RefreshToken.id.in_(expired)).returning(RefreshToken.id)
    return list(await session.scalars(statement))
