"""Deleting a row that others may refer to."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, insert

from app.core.exceptions import InUseError
from app.crud.delete import delete_row
from app.db.session import Database
from app.models.user import User
from tests.support import make_user


@pytest.fixture
async def pets(database: Database) -> AsyncIterator[Table]:
    """A table whose rows refer to users. Migrations don't know it."""
    pets = Table(
        "test_pets", MetaData(), Column("user_id", ForeignKey(User.id, ondelete="NO ACTION"))
    )
    async with database.engine.begin() as connection:
        await connection.run_sync(pets.create)
    yield pets
    async with database.engine.begin() as connection:
        await connection.run_sync(pets.drop)


async def test_row_that_others_refer_to_cannot_be_deleted(database: Database, pets: Table) -> None:
    ada, bob = make_user("ada@example.com"), make_user("bob@example.com")
    async with database.session.begin() as session:
        session.add_all([ada, bob])
        await session.flush()
        await session.execute(insert(pets).values(user_id=ada.id))
    with pytest.raises(InUseError, match="refers to this user"):
        async with database.session.begin() as session:
            await delete_row(session, await session.get_one(User, ada.id), "user")
    async with database.session.begin() as session:
        await delete_row(session, await session.get_one(User, bob.id), "user")
        assert await session.get(User, bob.id) is None
        assert await session.get(User, ada.id) is not None
