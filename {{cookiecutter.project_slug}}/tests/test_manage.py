"""The command line of administration, on the database of the tests."""

import io
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from app import manage
from app.core.config import Settings
from app.db.session import Database
from app.models.user import User
from tests.support import PASSWORD, TestSettings, bearer, log_in

NEW_PASSWORD = "another good passphrase"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command with a password on standard input."""
    monkeypatch.setattr(manage, "get_settings", lambda: settings)

    async def run(*arguments: str, password: str = NEW_PASSWORD) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        return await run_in_threadpool(manage.main, arguments)

    return run


async def test_create_superuser(
    run: Any, client: httpx2.AsyncClient, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("create-superuser", "Root@Example.com") == 0
    assert capsys.readouterr().out == "root@example.com is a superuser now.\n"
    tokens = await log_in(client, "root@example.com", NEW_PASSWORD)
    assert (await client.get("/api/v1/users", headers=bearer(tokens))).status_code == 200
    assert await run("create-superuser", "root@example.com") == 1
    assert "exists" in capsys.readouterr().err
    async with database.read_session() as session:
        assert len(list(await session.scalars(select(User)))) == 1


async def test_make_superuser(
    run: Any, user_headers: dict[str, str], client: httpx2.AsyncClient
) -> None:
    assert await run("create-superuser", "ada@example.com") == 1
    assert (await client.get("/api/v1/users", headers=user_headers)).status_code == 403
    assert await run("make-superuser", "Ada@Example.com") == 0
    assert (await client.get("/api/v1/users", headers=user_headers)).status_code == 200
    assert await run("make-superuser", "nobody@example.com") == 1
    assert await run("make-superuser", "nobody") == 1


async def test_reset_password(
    run: Any,
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = bearer(await log_in(client, user["email"]))
    assert await run("reset-password", user["email"]) == 0
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    await log_in(client, user["email"], NEW_PASSWORD)
    output = capsys.readouterr()
    assert NEW_PASSWORD not in output.out + output.err + caplog.text


@pytest.mark.parametrize(
    ("email", "password", "message"),
    [
        ("nobody@example.com", NEW_PASSWORD, "No account has this address.\n"),
        ("nobody", NEW_PASSWORD, "email: value is not a valid email address"),
        ("ada@example.com", "short", "password: must have 12 to 128 characters\n"),
        ("ada@example.com", "password1234", "password: is too common\n"),
    ],
)
@pytest.mark.usefixtures("user")
async def test_refusals(
    run: Any, email: str, password: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("reset-password", email, password=password) == 1
    output = capsys.readouterr()
    assert output.err.startswith(message)
    assert "Traceback" not in output.err
    assert output.out == ""


async def test_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    away = "postgresql://user:secret-password@127.0.0.1:9/app"
    values = settings.model_dump() | {"database_url": away}
    monkeypatch.setattr(manage, "get_settings", lambda: TestSettings(**values))
    assert await run_in_threadpool(manage.main, ["clean-up"]) == 1
    assert "Try again" in capsys.readouterr().err


async def test_clean_up(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("clean-up") == 0
    expected = "Deleted 0 finished sessions and 0 expired refresh tokens.\n"
    assert capsys.readouterr().out == expected


def test_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(manage, "get_settings", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        manage.main(["clean-up"])


@pytest.mark.parametrize(
    ("answers", "status"),
    [([PASSWORD, PASSWORD], 0), ([PASSWORD, "another"], 1), ([KeyboardInterrupt], 130)],
)
@pytest.mark.usefixtures("user")
async def test_terminal_asks_twice_without_echo(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: list[Any],
    status: int,
) -> None:
    def getpass(_prompt: str) -> str:
        answer = answers.pop(0)
        if answer is KeyboardInterrupt:
            raise KeyboardInterrupt
        return str(answer)

    monkeypatch.setattr(manage, "get_settings", lambda: settings)
    monkeypatch.setattr("getpass.getpass", getpass)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert await run_in_threadpool(manage.main, ["reset-password", "ada@example.com"]) == status
    if status == 1:
        assert capsys.readouterr().err == "password: was not the same twice\n"
