from typing import Any

from sqlalchemy import Boolean, column, select, table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app.db.session import ReadSession


class IsWritable(FunctionElement[bool]):
    """True if the database accepts changes.

    A standby of PostgreSQL doesn't, nor a server that was set read-only, nor SQLite if its file or
    folder can't be written.
    """

    type = Boolean()
    inherit_cache = True


@compiles(IsWritable, "sqlite")
def _by_permissions(_element: IsWritable, _compiler: Any, **_options: Any) -> str:
    return "is_writable()"  # app/db/engine.py


@compiles(IsWritable, "postgresql")
def _by_setting(_element: IsWritable, _compiler: Any, **_options: Any) -> str:
    return "current_setting('transaction_read_only') = 'off'"


async def find_revision(session: ReadSession) -> tuple[str | None, bool]:
    """Find the Alembic revision of the database, and whether the database is writable."""
    version = table("alembic_version", column("version_num"))
    row = await session.first(select(version.c.version_num, IsWritable()))
    return (row[0], row[1]) if row else (None, True)
