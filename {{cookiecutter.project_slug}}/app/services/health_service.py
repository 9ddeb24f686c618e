import asyncio

from sqlalchemy.exc import SQLAlchemyError

from app.core.exceptions import UnavailableError
from app.crud.revision import find_revision
from app.db.errors import describe_db_error
from app.db.revisions import find_mismatch
from app.db.session import ReadSession

DATABASE_TIMEOUT_SECONDS = 1


async def check_ready(reader: ReadSession, *, is_stopping: bool) -> None:
    """Raise UnavailableError unless the database answers in time, is writable and is migrated."""
    if is_stopping:
        raise UnavailableError("The service is stopping.", retry_after=1)
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            revision, is_writable = await find_revision(reader)
    except (SQLAlchemyError, TimeoutError) as error:
        raise UnavailableError(
            "The database does not answer.", retry_after=1, reason=describe_db_error(error)
        ) from None
    if mismatch := find_mismatch(revision):
        reason = "{}; run `{}`".format(*mismatch)
        raise UnavailableError("The database is not migrated.", retry_after=5, reason=reason)
    if not is_writable:
        reason = "the database server, or the file of SQLite, is read-only"
        raise UnavailableError("The database is read-only.", retry_after=1, reason=reason)
