"""Values that the columns of the models accept and return."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, StatementError

from app.db.base import utc_now
from app.db.session import Database
from app.models.user import User
from tests.support import make_user


async def test_address_in_upper_case_is_rejected(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.session.begin() as session:
            session.add(make_user("Ada@example.com"))


async def test_time_comes_back_in_utc(database: Database) -> None:
    given = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))
    async with database.session.begin() as session:
        session.add(make_user(created_at=given))
    async with database.session() as session:
        created_at = await session.scalar(select(User.created_at))
    assert created_at == given
    assert created_at is not None
    assert created_at.tzinfo is UTC or created_at.utcoffset() == timedelta()


async def test_time_without_zone_is_rejected(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        async with database.session.begin() as session:
            session.add(make_user(created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 -- on purpose


async def test_update_moves_updated_at(database: Database) -> None:
    before = utc_now()
    async with database.session.begin() as session:
        user = make_user(updated_at=before - timedelta(days=1))
        session.add(user)
    async with database.session.begin() as session:
        session.add(user)
        user.full_name = "Ada"
    # Read without asking the database again.
    assert user.updated_at > before


@pytest.mark.parametrize(
    ("name", "value", "is_replaced"),
    [
        ("email", "bob@example.com", True),
        ("hashed_password", "y", True),
        ("is_verified", False, True),
        ("is_verified", True, False),
        ("email", "ada@example.com", False),
        ("full_name", "Ada", False),
    ],
)
def test_security_stamp_is_replaced_with_what_mailed_tokens_depend_on(
    name: str, value: object, is_replaced: bool
) -> None:
    user = make_user(is_verified=name == "is_verified" and value is False)
    before = user.security_stamp
    setattr(user, name, value)
    assert (user.security_stamp != before) == is_replaced
