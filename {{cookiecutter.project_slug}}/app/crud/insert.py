from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.db.base import Base


async def insert_if_missing(
    session: AsyncSession,
    model: type[Base],
    key: Mapping[InstrumentedAttribute[Any], Any],
    **others: Any,
) -> bool:
    """Insert a row unless one with this *key* exists. Return whether it was inserted.

    One statement decides, so concurrent requests can't fail on each other. The columns of *key*
    need a unique constraint or are the primary key; a violation of any other constraint is an
    error. *others* are the values of other columns:

        await insert_if_missing(session, Follow, {Follow.user_id: ada, Follow.followed_id: bob})
    """
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(model) if is_sqlite else postgresql.insert(model)
    statement = (
        insert.values({column.key: value for column, value in key.items()} | others)
        .on_conflict_do_nothing(index_elements=[*key])
        .returning(*key)
    )
    return (await session.execute(statement)).first() is not None
