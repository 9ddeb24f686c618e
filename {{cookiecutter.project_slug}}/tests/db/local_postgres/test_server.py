"""The server itself: its settings, its privacy, its databases, its errors."""

import signal
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.db import local_postgres as module
from app.db.local_postgres import LocalPostgresError, local_postgres
from tests.db.local_postgres.servers import NOT_ON_WINDOWS, enter, is_running, query

# Starting servers takes time, and the module seldom changes.
pytestmark = pytest.mark.slow


def test_environment_of_the_machine_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PGHOST", "/nowhere"), ("PGOPTIONS", "-c fsync=x"), ("LC_ALL", "xx_XX")):
        monkeypatch.setenv(name, value)
    with local_postgres(directory, durable=False) as url:
        monkeypatch.undo()
        assert query(url, "SHOW server_version").startswith("18.")
        assert query(url, "SHOW server_encoding") == "UTF8"
        assert query(url, "SHOW timezone") == "UTC"
        assert query(url, "SHOW log_timezone") == "UTC"
        letters = "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,é,a,B,_}'::text[]) x"
        assert query(url, letters) == "B_abé"
        assert query(url, "SELECT lower('É')") == "é"


def test_only_local_connections_with_the_password_get_in(directory: Path) -> None:
    with local_postgres(directory, durable=False) as url:
        assert query(url, "SHOW listen_addresses") == "127.0.0.1"
        assert query(url, "SHOW unix_socket_directories") == ""
        assert query(url, "SELECT rolpassword FROM pg_authid WHERE rolcanlogin").startswith("SCRAM")
        password = (directory / "cluster" / "password").read_text()
        assert len(password) == 32
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            query(url.replace(password, "wrong"), "SELECT 1")


@NOT_ON_WINDOWS
def test_files_are_private(directory: Path) -> None:
    with local_postgres(directory, durable=False):
        home = directory / "cluster"
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600


@pytest.mark.parametrize(("durable", "value"), [(True, "on"), (False, "off")])
def test_durability_can_be_turned_off(directory: Path, durable: bool, value: str) -> None:
    with local_postgres(directory, durable=durable) as url:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert query(url, f"SHOW {name}") == value


def test_database_can_have_any_name(directory: Path) -> None:
    name = "a \"b\" 'c' %d/é"
    for _ in range(2):
        with local_postgres(directory, database=name, durable=False) as url:
            assert query(url, "SELECT current_database()") == name


def test_failure_to_create_a_database_stops_the_server(directory: Path) -> None:
    with pytest.raises(LocalPostgresError, match=r"(?s)psql failed.*zero-length"):
        enter(directory, database="")
    assert not is_running(directory)


def test_failure_shows_the_end_of_the_log(directory: Path) -> None:
    enter(directory)
    settings = directory / "cluster" / "data" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("nonsense = 1\n")
    message = r"(?s)pg_ctl failed.*server\.log:.*\"nonsense\""
    with pytest.raises(LocalPostgresError, match=message) as failure:
        enter(directory)
    settings.write_text(before)
    assert "shut down" not in str(failure.value)  # the log of an earlier start


def test_missing_package_is_reported(new_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(LocalPostgresError, match="set DATABASE_URL"):
        enter(new_directory)
    assert not new_directory.exists()


def test_unusable_folder_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LocalPostgresError, match="can't be used in"):
        enter(file / "x")


@NOT_ON_WINDOWS
def test_folder_name_that_a_shell_would_change_is_rejected(new_directory: Path) -> None:
    with pytest.raises(LocalPostgresError, match="folder named"):
        enter(new_directory / "$HOME")


def test_foreground_server_runs_until_ctrl_c(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers: dict[int, Any] = {}

    def press_ctrl_c(seconds: float) -> None:
        assert is_running(directory)
        handlers[signal.SIGTERM](signal.SIGTERM, None)

    monkeypatch.setattr("time.sleep", press_ctrl_c)
    monkeypatch.setattr("signal.signal", handlers.__setitem__)
    module.main(directory)
    assert not is_running(directory)
    url, psql, _ = capsys.readouterr().out.splitlines()
    assert url.startswith("postgresql+psycopg://postgres:")
    assert psql.endswith(url.replace("+psycopg", ""))


def test_foreground_failure_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="can't be used in"):
        module.main(tmp_path / "file")
