"""Inserting a row that may exist already."""

import asyncio

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from app.core.exceptions import EmailTakenError
from app.crud.insert import insert_if_missing
from app.db.session import Database
from app.models.user import User
from tests.support import make_user


async def insert_ada(database: Database) -> bool:
    async with database.session.begin() as session:
        inserted = await insert_if_missing(
            session, User, {User.email: "ada@example.com"}, hashed_password="x"
        )
        await asyncio.sleep(0.02)  # the others wait for this transaction
        return inserted


async def test_one_of_many_concurrent_inserts_stores_the_row(database: Database) -> None:
    outcomes = await asyncio.gather(*(insert_ada(database) for _ in range(5)))
    assert sorted(outcomes) == [False, False, False, False, True]
    async with database.session() as reader:
        user = await reader.scalar(select(User))
        assert await reader.scalar(select(func.count()).select_from(User)) == 1
    assert user is not None
    assert user.created_at is not None  # defaults of the model apply


async def test_existing_row_stays_as_it_is(database: Database) -> None:
    await insert_ada(database)
    async with database.session.begin() as session:
        key = {User.email: "ada@example.com"}
        assert not await insert_if_missing(session, User, key, hashed_password="y")
        assert await session.scalar(select(User.hashed_password)) == "x"


async def test_other_violations_are_errors(database: Database) -> None:
    async with database.session.begin() as session:
        ada = make_user("ada@example.com")
        session.add(ada)
    async with database.session() as session:
        with pytest.raises(EmailTakenError):
            await insert_if_missing(
                session, User, {User.id: uuid7()}, email=ada.email, hashed_password="x"
            )
    async with database.session() as session:
        with pytest.raises(IntegrityError):
            await insert_if_missing(session, User, {User.email: "BOB@EXAMPLE.COM"})
