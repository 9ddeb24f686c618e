"""Writing sessions, and which database they are opened on."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.config import Settings
from app.db import session as module
from app.db.session import Database
from app.models.user import User
from app.models.user_session import UserSession
from tests.support import TestSettings, make_user


async def test_failed_transaction_stores_nothing(database: Database) -> None:
    async def store_and_fail() -> None:
        async with database.session.begin() as session:
            session.add(make_user("ada@example.com"))
            await session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        await store_and_fail()
    async with database.session() as reader:
        assert (await reader.scalars(select(User))).all() == []


async def test_object_stays_readable_after_the_commit(database: Database) -> None:
    async with database.session.begin() as session:
        user = make_user("ada@example.com")
        session.add(user)
    assert user.email == "ada@example.com"


async def test_relationship_that_was_not_loaded_is_an_error(database: Database) -> None:
    async with database.session.begin() as session:
        user = make_user("ada@example.com")
        session.add(user)
        await session.flush()
        session.add(UserSession(user_id=user.id))
    async with database.session() as reader:
        user_session = (await reader.scalars(select(UserSession))).one()
        with pytest.raises(Exception, match="lazy='raise'"):
            _ = user_session.user


async def test_writers_wait_for_each_other(database: Database) -> None:
    async with database.session.begin() as session:
        session.add(make_user("ada@example.com", full_name=""))

    async def append() -> None:
        async with database.session.begin() as session:
            user = (await session.scalars(select(User).with_for_update())).one()
            user.full_name = f"{user.full_name}x"

    await asyncio.gather(*(append() for _ in range(10)))
    async with database.session() as reader:
        assert await reader.scalar(select(User.full_name)) == "x" * 10


async def test_error_of_a_statement_shows_no_parameters(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with database.session.begin() as session:
            session.add(make_user("Hidden@example.com"))
    assert isinstance(caught.value, IntegrityError)
    assert "hide_parameters" in str(caught.value)
    assert "Hidden@example.com', " not in str(caught.value)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A folder that PostgreSQL reaches when root runs the tests, unlike pytest's own ones."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


async def test_checkout_has_its_own_database(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(module, "VAR", open_directory / "var")
    settings = TestSettings(**(settings.model_dump() | {"database_url": None}))
    async with Database.open(settings) as database, database.session() as reader:
        assert await reader.scalar(select(1)) == 1
