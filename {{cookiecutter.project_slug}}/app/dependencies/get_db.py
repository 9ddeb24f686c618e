"""Gives a route its database session. One request has one session and one transaction."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import AppError
from app.db.errors import translate_db_error
from app.db.session import Database
from app.dependencies.resources import ResourcesDep

_SAFE_METHODS = {"GET", "HEAD"}


async def get_database(resources: ResourcesDep) -> Database:
    return resources.database


DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_db(connection: HTTPConnection, database: DatabaseDep) -> AsyncIterator[AsyncSession]:
    """A session whose changes are committed when the route has returned, or else rolled back.

    GET and HEAD get a session without a transaction, which refuses to write; so does a WebSocket,
    whose session gives its connection back after each statement.
    """
    read_only = True
    if connection.scope["type"] == "websocket":
        make_session = database.socket_session
    elif connection.scope["method"] in _SAFE_METHODS:
        make_session = database.read_session
    else:
        make_session = database.session
        read_only = False
    try:
        async with make_session() as session:
            try:
                yield session
            except AppError as error:
                if error.commit_on_error:
                    await session.commit()
                raise
            if not read_only:
                await session.commit()
    except Exception as error:
        if (app_error := translate_db_error(error)) is not None:
            raise app_error from error
        raise


# scope="function": the commit comes before the response. With FastAPI's default scope it would
# come after it, and a client would be told 201 of a commit that then fails.
SessionDep = Annotated[AsyncSession, Depends(get_db, scope="function")]
