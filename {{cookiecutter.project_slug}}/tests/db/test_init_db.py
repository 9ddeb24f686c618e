"""`python -m app.db.init_db`, and the function of app/manage.py that does its work."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from app.core.config import Settings, SettingsError
from app.db import init_db
from app.db.session import Database
from app.manage import create_first_superuser
from app.models.user import User
from app.services import user_service
from app.services.user_service import UserService
from tests.support import (
    PASSWORD,
    make_user,
)

FIRST = {
    "environment": "development",
    "first_superuser_email": "Root@example.com",
    "first_superuser_password": PASSWORD,
}


@pytest.fixture
def settings_values() -> dict[str, Any]:
    return FIRST


async def test_superuser_is_created_once(settings: Settings, database: Database) -> None:
    assert await create_first_superuser(settings)
    assert not await create_first_superuser(settings)
    async with database.session() as reader:
        user = (await reader.scalars(select(User))).one()
    assert user.email == "root@example.com"
    assert user.is_superuser
    assert user.is_verified


@pytest.mark.usefixtures("own_engines", "database")
async def test_one_of_several_processes_creates_the_superuser(settings: Settings) -> None:
    outcomes = await asyncio.gather(*(create_first_superuser(settings) for _ in range(3)))
    assert sorted(outcomes) == [False, False, True]


@pytest.mark.usefixtures("database")
async def test_superuser_that_another_process_just_created_is_accepted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_nobody(*_: object) -> None:
        return None

    await create_first_superuser(settings)
    monkeypatch.setattr(user_service, "find_user_by_email", find_nobody)
    assert not await create_first_superuser(settings)


@pytest.mark.parametrize("account", [{}, {"is_superuser": True, "is_active": False}])
async def test_address_of_an_account_without_rights_is_rejected(
    settings: Settings, database: Database, account: dict[str, bool]
) -> None:
    async with database.session.begin() as session:
        session.add(make_user("root@example.com", **account))
    with pytest.raises(SettingsError, match=r"FIRST_SUPERUSER_EMAIL: .*signed up with it"):
        await create_first_superuser(settings)


@pytest.mark.parametrize(
    ("settings_values", "message"),
    [
        ({}, "are needed"),
        (FIRST | {"first_superuser_password": None}, "are needed"),
        (FIRST | {"first_superuser_password": "short"}, "FIRST_SUPERUSER_PASSWORD: .*12 to 128"),
        (FIRST | {"first_superuser_password": "x\n" + PASSWORD}, "PASSWORD: .*control characters"),
    ],
)
@pytest.mark.usefixtures("database")
async def test_missing_or_rejected_settings_are_named(settings: Settings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        await create_first_superuser(settings)


@pytest.mark.usefixtures("database")
async def test_bug_keeps_its_traceback(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(UserService, "ensure_superuser", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await create_first_superuser(settings)


@pytest.mark.parametrize(("created", "outcome"), [(True, "created"), (False, "exists already")])
def test_command_reports_the_outcome(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    created: bool,
    outcome: str,
) -> None:
    async def pretend(_: Settings) -> bool:
        return created

    monkeypatch.setattr(init_db, "get_settings", lambda: settings)
    monkeypatch.setattr(init_db, "create_first_superuser", pretend)
    init_db.main()
    assert capsys.readouterr().out == f"First superuser Root@example.com: {outcome}.\n"
