from collections.abc import AsyncIterator

import pytest

from app.db.session import Database
from tests.crud.things import ThingBase


@pytest.fixture
async def things(database: Database) -> AsyncIterator[Database]:
    """The database with an empty table of things.

    Tables of tests have names that no table of the service has.
    """
    async with database.engine.begin() as connection:
        await connection.run_sync(ThingBase.metadata.create_all)
    yield database
    async with database.engine.begin() as connection:
        await connection.run_sync(ThingBase.metadata.drop_all)
