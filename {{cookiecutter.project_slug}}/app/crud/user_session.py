from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import BindParameter, Exists, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import utc_now
from app.db.session import ReadSession, columns_of
from app.models.user import User
from app.models.user_session import RefreshToken, UserSession
from app.schemas.user import CurrentSession, UserRead
from app.schemas.user_session import UserSessionRead


def _can_be_refreshed(now: datetime | BindParameter[datetime]) -> Exists:
    return exists().where(
        RefreshToken.user_session_id == UserSession.id, RefreshToken.expires_at >= now
    )


_CURRENT_SESSION = (
    select(UserSession.id.label("session_id"), *columns_of(UserRead, User))
    .join(UserSession.user)
    .where(
        UserSession.id == bindparam("user_session_id"),
        UserSession.revoked_at.is_(None),
        User.is_active,
    )
)
_ACTIVE_SESSIONS = (
    select(
        UserSession.id,
        UserSession.created_at,
        UserSession.last_used_at,
        UserSession.user_agent,
        UserSession.ip_address,
        (UserSession.id == bindparam("current_id")).label("current"),
    )
    .where(
        UserSession.user_id == bindparam("user_id"),
        UserSession.revoked_at.is_(None),
        _can_be_refreshed(bindparam("now")),
    )
    .order_by(UserSession.id.desc())
)
_KEY_EXPIRIES = (
    select(RefreshToken.key_id, func.max(RefreshToken.expires_at).label("expires_at"))
    .where(RefreshToken.expires_at > bindparam("now"))
    .group_by(RefreshToken.key_id)
)


async def add_user_session(session: AsyncSession, user_session: UserSession) -> None:
    session.add(user_session)
    await session.flush()


async def find_current_session(reader: ReadSession, user_session_id: UUID) -> CurrentSession | None:
    """Find the session and its user, unless it is revoked or the user is deactivated."""
    row = await reader.first(_CURRENT_SESSION, {"user_session_id": user_session_id})
    return CurrentSession(id=row.session_id, user=UserRead.model_validate(row)) if row else None


async def find_active_user_session(
    session: AsyncSession, user_session_id: UUID
) -> UserSession | None:
    """Find the session, unless it is revoked or the user is deactivated."""
    statement = (
        select(UserSession)
        .join(UserSession.user)
        .where(UserSession.id == user_session_id, UserSession.revoked_at.is_(None), User.is_active)
    )
    return await session.scalar(statement)


async def revoke_user_session(session: AsyncSession, user_session_id: UUID, user_id: UUID) -> bool:
    """Revoke a session. Return False if the user has no such session or it is already revoked."""
    statement = (
        update(UserSession)
        .where(
            UserSession.id == user_session_id,
            UserSession.user_id == user_id,
            UserSession.revoked_at.is_(None),
        )
        .values(revoked_at=utc_now())
        .returning(UserSession.id)
    )
    return await session.scalar(statement) is not None


async def revoke_user_sessions(
    session: AsyncSession, user_id: UUID, *, except_id: UUID | None = None
) -> None:
    """Revoke all sessions of a user, or all but one."""
    statement = update(UserSession).where(
        UserSession.user_id == user_id, UserSession.revoked_at.is_(None)
    )
    if except_id is not None:
        statement = statement.where(UserSession.id != except_id)
    await session.execute(statement.values(revoked_at=utc_now()))


async def list_active_user_sessions(
    reader: ReadSession, user_id: UUID, *, current_id: UUID
) -> list[UserSessionRead]:
    """List the sessions that are not revoked and can still be refreshed, newest first."""
    params = {"user_id": user_id, "current_id": current_id, "now": utc_now()}
    return await reader.all_as(UserSessionRead, _ACTIVE_SESSIONS, params)


async def add_refresh_token(session: AsyncSession, token: RefreshToken) -> None:
    session.add(token)
    await session.flush()


async def consume_refresh_token(
    session: AsyncSession, token_hashes: Sequence[str]
) -> RefreshToken | None:
    """Mark an unused, unexpired token as used and return it.

    *token_hashes* are those of one token, with each key. One UPDATE decides, so one of several concurrent requests gets the token and the others None.
    """
    now = utc_now()
    statement = (
        update(RefreshToken)
        .where(
            RefreshToken.token_hash.in_(token_hashes),
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(RefreshToken)
    )
    return await session.scalar(statement)


async def find_user_session_of_used_token(
    session: AsyncSession, token_hashes: Sequence[str]
) -> UserSession | None:
    """Find the session, even a revoked one, that this refresh token was used in."""
    statement = (
        select(UserSession)
        .join(RefreshToken, RefreshToken.user_session_id == UserSession.id)
        .where(RefreshToken.token_hash.in_(token_hashes), RefreshToken.used_at.is_not(None))
    )
    return await session.scalar(statement)


async def find_key_expiries(reader: ReadSession) -> dict[str | None, datetime]:
    """Map the ID of each key to the time when the last refresh token that needs it expires."""
    rows = await reader.all(_KEY_EXPIRIES, {"now": utc_now()})
    return {row.key_id: row.expires_at for row in rows}


async def delete_finished_user_sessions(
    session: AsyncSession, *, before: datetime, after_id: UUID, limit: int
) -> list[UUID]:
    """Delete sessions, with their tokens, that are revoked or can't be refreshed any more."""
    finished = (
        select(UserSession.id)
        .where(
            UserSession.id > after_id,
            or_(UserSession.revoked_at < before, ~_can_be_refreshed(before)),
        )
        .order_by(UserSession.id)
        .limit(limit)
    )
    statement = delete(UserSession).where(UserSession.id.in_(finished)).returning(UserSession.id)
    return list(await session.scalars(statement))


async def delete_expired_used_tokens(
    session: AsyncSession, *, before: datetime, after_id: UUID, limit: int
) -> list[UUID]:
    """Delete used refresh tokens of sessions that continue.

    Unexpired ones are kept: if one comes back, it was stolen, which must be noticed.
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
