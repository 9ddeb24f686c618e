from sqlalchemy import column, select, table
from sqlalchemy.ext.asyncio import AsyncSession


async def find_revision(session: AsyncSession) -> str | None:
    """The Alembic revision of the database. Raises DBAPIError if it was never migrated."""
    version = table("alembic_version", column("version_num"))
    return await session.scalar(select(version.c.version_num))
