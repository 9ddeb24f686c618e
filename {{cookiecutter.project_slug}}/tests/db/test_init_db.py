import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from app.core.config import Settings, SettingsError
from app.db import init_db as module
from app.db.init_db import init_db
from app.db.session import Database
from app.models.user import User
from app.services import user_service
from app.services.user_service import UserService
from tests.support import PASSWORD, Mailbox

FIRST = {
    "environment": "development",
    "first_superuser_email": "Root@example.com",
    "first_superuser_password": PASSWORD,
}


@pytest.fixture
def settings_values() -> dict[str, Any]:
    return FIRST


async def test_creates_the_superuser_once(
    settings: Settings, database: Database, mailbox: Mailbox
) -> None:
    assert await init_db(settings)
    assert not await init_db(settings)
    async with database.read_session() as session:
        user = (await session.scalars(select(User))).one()
    assert user.email == "root@example.com"
    assert user.is_superuser
    assert user.is_verified
    assert mailbox.messages == []


async def test_address_taken_in_between(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_nobody(*_: object) -> None:
        return None

    await init_db(settings)
    monkeypatch.setattr(user_service, "find_user_by_email", find_nobody)
    assert not await init_db(settings)


@pytest.mark.parametrize("account", [{}, {"is_superuser": True, "is_active": False}])
async def test_address_of_somebody_without_rights(
    settings: Settings, database: Database, account: dict[str, bool]
) -> None:
    async with database.session.begin() as session:
        session.add(User(email="root@example.com", hashed_password="x", **account))
    with pytest.raises(SettingsError, match="without rights"):
        await init_db(settings)


async def test_two_at_once(settings: Settings, database: Database) -> None:
    outcomes = await asyncio.gather(*(init_db(settings) for _ in range(3)))
    assert sorted(outcomes) == [False, False, True]


@pytest.mark.parametrize(
    ("settings_values", "message"),
    [
        ({}, "are needed"),
        (FIRST | {"first_superuser_password": None}, "are needed"),
        (FIRST | {"first_superuser_password": "short"}, "FIRST_SUPERUSER_PASSWORD: .*12 to 128"),
        (FIRST | {"first_superuser_password": "password1234"}, "PASSWORD: is too common"),
    ],
)
@pytest.mark.usefixtures("database")
async def test_unusable_settings(settings: Settings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        await init_db(settings)


async def test_other_errors_are_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(UserService, "ensure_superuser", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await init_db(settings)


@pytest.mark.parametrize(("created", "said"), [(True, "created"), (False, "exists already")])
def test_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    created: bool,
    said: str,
) -> None:
    async def pretend(_: Settings) -> bool:
        return created

    monkeypatch.setattr(module, "get_settings", lambda: settings)
    monkeypatch.setattr(module, "init_db", pretend)
    module.main()
    output = capsys.readouterr().out
    assert output == f"First superuser Root@example.com: {said}.\n"
