from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.exceptions import InUseError
from app.db.base import Base


async def delete_row(session: AsyncSession, row: Base, subject: str) -> None:
    """Delete the row that *subject* names. Raises InUseError while rows that stay refer to it."""
    await session.delete(row)
    try:
        await session.flush()
    except IntegrityError as error:
        raise InUseError(subject) from error
