"""Gives a route its database session.

A route that only reads takes `ReadSessionDep`. A route that writes takes `SessionDep`: one session
and one transaction for the whole request, committed before the response is sent.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import AppError, UnavailableError
from app.db.errors import describe_db_error
from app.db.session import ReadOnlyError, ReadSession
from app.dependencies.resources import get_resources

_SAFE_METHODS = {"GET", "HEAD"}


async def get_read_db(connection: HTTPConnection) -> ReadSession:
    """Return the session that runs SELECT statements outside of any transaction."""
    return get_resources(connection).database.read_session


ReadSessionDep = Annotated[ReadSession, Depends(get_read_db)]


async def get_db(connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """Yield a session whose changes are committed when the route returns.

    They are rolled back when the route raises, unless the error's class sets `commit_on_error`.
    """
    if connection.scope.get("method", "GET") in _SAFE_METHODS:
        raise ReadOnlyError(
            "a GET, HEAD or WebSocket route takes ReadSessionDep; a WebSocket writes with "
            "`async with resources.database.session.begin() as session`"
        )
    try:
        async with get_resources(connection).database.session() as session:
            try:
                yield session
            except AppError as error:
                if error.commit_on_error:
                    await session.commit()
                raise
            await session.commit()
    except PoolTimeoutError as error:
        raise UnavailableError(retry_after=1, reason=describe_db_error(error)) from error


# scope="function": the dependency ends before the response is sent. With FastAPI's default scope
# it would end afterwards, and a client could get 201 for a commit that then fails.
SessionDep = Annotated[AsyncSession, Depends(get_db, scope="function")]
