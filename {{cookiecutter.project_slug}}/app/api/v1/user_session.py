from uuid import UUID

from fastapi import status

from app.core.exceptions import NotFoundError
from app.dependencies.current_user import CurrentUserSession
from app.dependencies.get_db import ReadSessionDep, SessionDep
from app.http.openapi import problems
from app.http.router import Router
from app.schemas.user_session import UserSessionRead
from app.services import user_session_service

router = Router(prefix="/users/me/sessions", tags=["users"])


@router.get("")
async def list_user_sessions(
    user_session: CurrentUserSession, reader: ReadSessionDep
) -> list[UserSessionRead]:
    """List your active sessions.

    The newest comes first.
    """
    return await user_session_service.list_user_sessions(reader, user_session)


@router.delete(
    "/{user_session_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
)
async def revoke_user_session(
    user_session_id: UUID, user_session: CurrentUserSession, session: SessionDep
) -> None:
    """Revoke one of your sessions.

    Its access and refresh tokens stop working at once.
    """
    await user_session_service.revoke(session, user_session_id, user_session.user.id)
