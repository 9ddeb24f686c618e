from sqlalchemy import column, select, table

from app.db.session import ReadSession


async def find_revision(session: ReadSession) -> str | None:
    """Find the Alembic revision of the database. Raises DBAPIError if it was never migrated."""
    version = table("alembic_version", column("version_num"))
    return await session.scalar(select(version.c.version_num))
