import asyncio
import logging
from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import ROOT
from app.core.exceptions import UnavailableError
from app.crud.revision import find_revision
from app.db.session import ReadSession

logger = logging.getLogger(__name__)

DATABASE_TIMEOUT_SECONDS = 1


@cache
def head_revision() -> str | None:
    """Return the newest revision in alembic/versions: the one that this code was written for."""
    return ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_current_head()


async def check_ready(reader: ReadSession, *, is_stopping: bool) -> None:
    """Raise UnavailableError unless the database answers in time and is at the head revision."""
    if is_stopping:
        raise UnavailableError("The service is stopping.", retry_after=1)
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            revision = await find_revision(reader)
    except (UnavailableError, SQLAlchemyError, OSError) as error:
        logger.warning("The database does not answer", extra={"reason": type(error).__name__})
        raise UnavailableError("The database does not answer.", retry_after=1) from None
    if revision != head_revision():
        logger.warning("The database is not at the head revision", extra={"revision": revision})
        raise UnavailableError("The database is not migrated.", retry_after=5)
