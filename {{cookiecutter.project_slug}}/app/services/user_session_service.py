"""The sessions of a user, as a list in which each can be revoked."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import NotFoundError
from app.core.security_events import log_security_event
from app.crud.user_session import list_active_user_sessions, revoke_user_session
from app.db.session import ReadSession
from app.schemas.user import CurrentSession
from app.schemas.user_session import UserSessionRead


async def list_user_sessions(reader: ReadSession, current: CurrentSession) -> list[UserSessionRead]:
    """List the active sessions of the current user, newest first."""
    return await list_active_user_sessions(reader, current.user.id, current_id=current.id)


async def revoke(session: AsyncSession, user_session_id: UUID, user_id: UUID) -> None:
    """Revoke a session of the user. Raises NotFoundError if there is no such active session."""
    if not await revoke_user_session(session, user_session_id, user_id):
        raise NotFoundError("session")
    log_security_event("session-revoked", account_id=user_id, session_id=user_session_id)
