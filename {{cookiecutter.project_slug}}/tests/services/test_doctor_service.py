"""`python -m app.manage doctor`: it finds what is wrong, and says what repairs it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from starlette.concurrency import run_in_threadpool

from app import manage
from app.core.config import Settings, SettingsError
from app.core.exceptions import UnavailableError
from app.crud.server import Server
from app.db import revisions
from app.db.base import utc_now
from app.db.revisions import head_revision
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user_session import RefreshToken
from app.services import doctor_service
from app.services.doctor_service import (
    Finding,
    check_server,
    diagnose,
)
from tests.services.findings import DEPLOYED, changed, find
from tests.support import UserClient, request_refresh


@pytest.mark.usefixtures("database")
async def test_healthy_service_has_no_findings(settings: Settings) -> None:
    for values in ({}, DEPLOYED):
        findings = await diagnose(changed(settings, **values))
        assert {finding.level for finding in findings} == {"ok"}
        subjects = {finding.subject for finding in findings}
        assert {"settings", "database", "migrations"} <= subjects


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("subject", "values", "level", "word"),
    [
        ("settings", DEPLOYED | {"log_level": "DEBUG"}, "warning", "LOG_LEVEL"),
        ("proxies", DEPLOYED | {"trusted_proxies": []}, "warning", "TRUSTED_PROXIES is empty"),
        ("proxies", {"trusted_proxies": "10.0.0.0/8, ::/0"}, "error", "every address"),
    ],
)
async def test_dangerous_setting_is_found(
    settings: Settings, subject: str, values: dict[str, Any], level: str, word: str
) -> None:
    (finding,) = await find(settings, subject, **values)
    assert finding.level == level
    assert word in finding.text


@pytest.mark.usefixtures("database")
async def test_mistake_in_env_file_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_service, "check_env_file", lambda: [".env, line 1: PROT"])
    (finding,) = await find(settings, "settings")
    assert finding == Finding("settings", "warning", ".env, line 1: PROT", "Correct .env")


async def test_unreachable_database_is_found(settings: Settings) -> None:
    url = "postgresql://user:hidden@127.0.0.1:9/app"
    (finding,) = await find(settings, "database", database_url=url)
    assert finding.level == "error"
    assert "Connection refused" in finding.text
    assert "hidden" not in finding.text


async def test_database_without_tables_needs_migrations(settings: Settings, tmp_path: Path) -> None:
    (finding,) = await find(settings, "migrations", database_url=f"sqlite:///{tmp_path}/new.db")
    assert finding.level == "error"
    assert finding.fix == "alembic upgrade head"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("head", "fix"), [("newer", "alembic upgrade head"), ("newer, other", "alembic merge heads")]
)
async def test_older_revision_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, head: str, fix: str
) -> None:
    monkeypatch.setattr(revisions, "head_revision", lambda: head)
    (finding,) = await find(settings, "migrations")
    own = head_revision()
    assert finding.text == f"the database is at revision {own}, but this code needs {head}"
    assert finding.fix == fix


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("outcome", "subject", "text"),
    [
        ((head_revision(), False), "database", "the server is read-only"),
        (
            UnavailableError(retry_after=1, reason="attempt to write a readonly database"),
            "migrations",
            "attempt to write a readonly database",
        ),
    ],
)
async def test_read_only_database_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, outcome: Any, subject: str, text: str
) -> None:
    async def find_revision(_reader: object) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(doctor_service, "find_revision", find_revision)
    (finding,) = await find(settings, subject)
    assert (finding.level, finding.text) == ("error", text)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("function", ["find_server", "find_revision"])
async def test_bug_is_not_taken_for_a_finding(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    async def fail(_database: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(doctor_service, function, fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await diagnose(settings)


def test_facts_about_the_server_are_judged(settings: Settings) -> None:
    (answers,) = check_server(settings, Server("SQLite 3.50"))
    assert answers.level == "ok"

    server = Server("PostgreSQL 14.20 (Debian)", max_connections=97, clock_ahead=60)
    answers, version, pool, clock = check_server(settings, server)
    assert [answers.level, version.level, pool.level, clock.level] == ["ok", "warning"] * 2
    assert version.text == "PostgreSQL 14.20 (Debian) gets no more security fixes"
    assert "differs by 60 s" in clock.text

    large = changed(settings, web_concurrency=10, database_pool_size=10)
    _, _, pool, _ = check_server(large, server)
    assert (pool.level, pool.fix) == ("error", "Set DATABASE_POOL_SIZE=9 or less")
    _, _, pool, _ = check_server(large, server._replace(has_pooler=True))
    assert (pool.level, "pooler" in pool.text) == ("ok", True)


async def test_old_key_can_go_when_no_session_needs_it(
    settings: Settings, ada: UserClient, resources: Resources, database: Database
) -> None:
    new = {
        "secret_key": SecretStr("another key for tests that signs nothing"),
        "secret_key_fallbacks": [settings.secret_key],
    }
    findings = await diagnose(changed(settings, **new))
    (needed,) = [finding for finding in findings if finding.subject == "secret key"]
    until = utc_now() + timedelta(days=settings.refresh_token_days)
    assert f"key 1 of SECRET_KEY_FALLBACKS is needed until {until:%Y-%m-%d}" in needed.text

    # Used tokens count as well: one that comes back must be recognised.
    resources.settings = changed(settings, **new)
    await request_refresh(ada, ada.tokens["refresh_token"])
    assert await find(settings, "secret key", **new) == []

    async with database.session.begin() as session:
        expired = update(RefreshToken).values(expires_at=utc_now() - timedelta(seconds=1))
        await session.execute(expired)
    (finding,) = await find(settings, "secret key", **new)
    assert finding.level == "warning"
    assert "no user session needs key 1" in finding.text


async def test_token_without_a_key_id_may_need_any_old_key(
    settings: Settings, ada: UserClient, database: Database
) -> None:
    async with database.session.begin() as session:
        await session.execute(update(RefreshToken).values(key_id=None))
    old = [SecretStr("an old key for tests that signs nothing"), settings.secret_key]
    assert await find(settings, "secret key", secret_key_fallbacks=old) == []


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("values", "status"), [({}, 0), ({"trusted_proxies": "0.0.0.0/0"}, 1)])
async def test_command_prints_findings_and_fails_for_an_error(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, Any],
    status: int,
) -> None:
    monkeypatch.setattr(manage, "get_settings", lambda: changed(settings, **values))
    assert await run_in_threadpool(manage.main, ["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["ok", "settings"]
    assert any(line.strip().startswith("fix: ") for line in lines) == bool(status)

    assert await run_in_threadpool(manage.main, ["doctor", "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] == (status == 0)
    assert report["findings"][0]["level"] == "ok"


def test_invalid_settings_are_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise SettingsError("SECRET_KEY: is missing")

    monkeypatch.setattr(manage, "get_settings", fail)
    assert manage.main(["doctor", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["level"], finding["text"]) == ("error", "SECRET_KEY: is missing")
