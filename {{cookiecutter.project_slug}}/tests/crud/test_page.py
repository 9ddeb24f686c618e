"""Keyset pages."""

from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import make_url

from app.crud.user import list_users
from app.db.base import Base, utc_now
from app.db.session import Database, make_engine
from app.models import User
from app.schemas.user import UserListParams, UserSort
from tests.support import explain, position


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
async def test_rows_of_the_same_time(database: Database, sort: UserSort) -> None:
    now = utc_now()
    users = [
        User(email=f"{number}@example.com", hashed_password="x", created_at=now)
        for number in range(5)
    ]
    async with database.session.begin() as session:
        session.add_all(users)
    expected = sorted((user.id for user in users), reverse=sort.startswith("-"))
    found = []
    after = None
    async with database.read_session() as session:
        for _ in range(len(users)):
            (user,) = await list_users(session, UserListParams(sort=sort), after=after, limit=1)
            found.append(user.id)
            after = position(user, sort)
        assert await list_users(session, UserListParams(sort=sort), after=after, limit=1) == []
    assert found == expected


@pytest.mark.parametrize("sort", get_args(UserSort))
async def test_sqlite_looks_a_page_up(tmp_path: Path, sort: UserSort) -> None:
    """It goes to the page by an index, and doesn't walk through those before it."""
    url = make_url("sqlite+aiosqlite://").set(database=str(tmp_path / "app.db"))
    database = Database(make_engine(url))
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    user = User(email="ada@example.com", hashed_password="x")
    async with database.session.begin() as session:
        session.add(user)
    plan = await explain(database, "EXPLAIN QUERY PLAN", sort, position(user, sort), 100)
    assert plan[0].detail.startswith("SEARCH users USING INDEX"), plan
    await database.engine.dispose()
