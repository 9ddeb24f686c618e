"""`python -m app.manage`, on the database of the tests."""

import io
import sys
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from app import manage
from app.core.config import Settings
from app.db.session import Database
from app.models.user import User
from tests.support import ME, NEW_PASSWORD, PASSWORD, USERS, TestSettings, UserClient, client_of


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


async def test_created_superuser_can_sign_in_once_created(
    run: Any, app: FastAPI, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("create-superuser", "Root@Example.com") == 0
    assert capsys.readouterr().out == "root@example.com is a superuser now.\n"
    async with client_of(app) as root:
        root.user = {"email": "root@example.com"}
        await root.sign_in(NEW_PASSWORD)
        assert (await root.get(USERS)).status_code == 200
    assert await run("create-superuser", "root@example.com") == 1
    assert "exists" in capsys.readouterr().err
    async with database.session() as reader:
        assert await reader.scalar(select(func.count()).select_from(User)) == 1


async def test_existing_account_becomes_a_superuser_only_by_its_own_command(
    run: Any, ada: UserClient
) -> None:
    assert await run("create-superuser", ada.email) == 1
    assert (await ada.get(USERS)).status_code == 403
    assert await run("make-superuser", "Ada@Example.com") == 0
    assert (await ada.get(USERS)).status_code == 200
    assert await run("make-superuser", "nobody@example.com") == 1
    assert await run("make-superuser", "nobody") == 1


async def test_reset_password_revokes_sessions_and_shows_no_password(
    run: Any,
    ada: UserClient,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await run("reset-password", ada.email) == 0
    assert (await ada.get(ME)).status_code == 401
    await ada.sign_in(NEW_PASSWORD)
    output = capsys.readouterr()
    assert NEW_PASSWORD not in output.out + output.err + caplog.text


@pytest.mark.parametrize(
    ("email", "password", "message"),
    [
        ("nobody@example.com", NEW_PASSWORD, "There is no such account.\n"),
        ("nobody", NEW_PASSWORD, "email: value is not a valid email address"),
        ("ada@example.com", "short", "password: must have 12 to 128 characters\n"),
    ],
)
@pytest.mark.usefixtures("ada")
async def test_error_that_the_user_can_fix_is_one_line(
    run: Any, email: str, password: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("reset-password", email, password=password) == 1
    output = capsys.readouterr()
    assert output.err.startswith(message)
    assert "Traceback" not in output.err
    assert output.out == ""


async def test_unreachable_database_is_one_line_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    unreachable = "postgresql://user:secret-password@127.0.0.1:9/app"
    values = settings.model_dump() | {"database_url": unreachable}
    monkeypatch.setattr(manage, "get_settings", lambda: TestSettings(**values))
    with pytest.raises(SystemExit) as caught:
        await run_in_threadpool(manage.main, ["clean-up"])
    (line,) = str(caught.value).splitlines()
    assert "Connection refused" in line
    assert "secret-password" not in line


class Undecodable(io.StringIO):
    def readline(self, _size: int = -1, /) -> str:  # type: ignore[override]  # typeshed has bytes
        raise UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid")


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (None, "password: is needed: type it on a terminal, or write it to standard input\n"),
        (io.StringIO(""), "password: is needed: type it on a terminal, or write it to standard"),
        (io.StringIO("caf\udce9 caf\udce9 12\n"), "password: is not valid UTF-8\n"),
        (Undecodable(), "password: is not valid UTF-8\n"),
    ],
    ids=["closed", "empty", "surrogate", "undecodable"],
)
async def test_unreadable_password_is_explained(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: Any,
    message: str,
) -> None:
    monkeypatch.setattr(manage, "get_settings", lambda: settings)
    monkeypatch.setattr("sys.stdin", stdin)
    assert await run_in_threadpool(manage.main, ["create-superuser", "x@example.com"]) == 1
    assert capsys.readouterr().err.startswith(message)


async def test_closed_pipe_does_not_undo_success(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    assert await run("clean-up") == 0
    assert not isinstance(sys.stdout, Closed)


async def test_clean_up_reports_what_it_deleted(
    run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
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
@pytest.mark.usefixtures("ada")
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
        assert capsys.readouterr().err == "password: differs from the first one\n"
