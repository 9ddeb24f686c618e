"""Backups: seed, back up while somebody writes, destroy, restore, compare."""

import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Executable, MetaData, insert, make_url, select, text

from app import manage
from app.core.config import Settings
from app.db.backup import BackupError, back_up, restore
from app.db.local import local_database
from app.models.user import User
from tests.db.rows import store_rows
from tests.support import TestSettings, alembic, on_connection


@pytest.fixture
def url(shared_directory: Path, worker_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[URL]:
    """A migrated database of this test."""
    with local_database(shared_directory, test_process=f"{worker_id}_backup") as url:
        if url.get_backend_name() == "postgresql":  # pragma: no cover -- not with SQLite
            # The programs of the server that the tests use.
            monkeypatch.setenv("PATH", on_connection(url, find_programs), prepend=os.pathsep)
        alembic(url, "upgrade", "head")
        yield url
        destroy(url)


def find_programs(connection: Connection) -> str:  # pragma: no cover -- not with SQLite
    statement = text("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
    return str(connection.scalar(statement))


def destroy(url: URL) -> None:
    if url.get_backend_name() == "sqlite":  # pragma: no cover -- not with PostgreSQL
        for suffix in ("", "-wal", "-shm"):
            Path(f"{url.database}{suffix}").unlink(missing_ok=True)
    else:  # pragma: no cover -- not with SQLite
        execute(url, text("DROP SCHEMA public CASCADE"), text("CREATE SCHEMA public"))


def execute(url: URL, *statements: Executable) -> None:
    def run(connection: Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    on_connection(url, run)


def rows(connection: Connection) -> dict[str, list[Any]]:
    """Return the rows of each table."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {
        table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
        for table in metadata.tables.values()
    }


def seed(connection: Connection) -> None:
    metadata = MetaData()
    metadata.reflect(connection)
    tables = [table for table in metadata.tables.values() if table.name != "alembic_version"]
    store_rows(connection, tables)


def test_restored_database_has_everything_that_was_committed(url: URL, tmp_path: Path) -> None:
    on_connection(url, seed)
    before = on_connection(url, rows)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            execute(url, insert(User).values(email=f"{number}@example.com", hashed_password="x"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        back_up(url, tmp_path / "backup")
    finally:
        stop.set()
        writer.join()
    after = on_connection(url, rows)

    destroy(url)
    restore(url, tmp_path / "backup")
    restored = on_connection(url, rows)
    assert restored.keys() == before.keys()
    assert {name for name in before if before[name]} >= {"users", "alembic_version"}
    for name, found in restored.items():
        assert all(row in found for row in before[name])
        assert all(row in after[name] for row in found)
    alembic(url, "check")  # the tables are those of the models


def test_database_with_tables_is_not_overwritten(url: URL, tmp_path: Path) -> None:
    back_up(url, tmp_path / "backup")
    on_connection(url, seed)
    before = on_connection(url, rows)
    with pytest.raises(BackupError, match=r"already exists|exists already"):
        restore(url, tmp_path / "backup")
    assert on_connection(url, rows) == before


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("older")
    with pytest.raises(BackupError, match="exists already"):
        back_up(make_url("sqlite:///x.db"), tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "older"


def test_missing_file_is_not_restored(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no file"):
        restore(make_url("sqlite:///x.db"), tmp_path / "backup")


def test_database_of_sqlite_is_not_overwritten(tmp_path: Path) -> None:
    for name in ("app.db", "backup"):
        (tmp_path / name).write_text("x")
    with pytest.raises(BackupError, match=r"app\.db exists already"):
        restore(make_url(f"sqlite:///{tmp_path}/app.db"), tmp_path / "backup")


def test_backup_of_sqlite_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.db"
    url = make_url(f"sqlite:///{path}")
    with pytest.raises(BackupError, match="SQLite says: unable to open"):
        back_up(url, tmp_path / "backup")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE things (name)")
        connection.execute("CREATE INDEX names ON things (name)")
        connection.executemany("INSERT INTO things VALUES (?)", [(str(n) * 50,) for n in range(99)])
    connection.close()
    content = bytearray(path.read_bytes())
    content[-2000:] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(BackupError, match=r"damaged|SQLite says"):
        back_up(url, tmp_path / "backup")
    assert [file.name for file in tmp_path.iterdir()] == ["app.db"]


@pytest.mark.parametrize("status", [0, 1])
def test_programs_of_postgresql_get_the_address_without_the_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], env: dict[str, str], **_options: Any) -> Any:
        calls.append((command, env))
        (tmp_path / "backup.part").touch()
        return SimpleNamespace(returncode=status, stderr="connection refused\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("shutil.which", lambda program: program)
    url = make_url("postgresql+psycopg://ada:s3cret@db:5433/shop?sslmode=require")
    if status:
        with pytest.raises(BackupError, match="pg_dump failed: connection refused"):
            back_up(url, tmp_path / "backup")
        assert [*tmp_path.iterdir()] == []
    else:
        back_up(url, tmp_path / "backup")
        restore(url, tmp_path / "backup")
        assert [command[0] for command, _ in calls] == ["pg_dump", "pg_restore"]
    for command, env in calls:
        (address,) = [word for word in command if word.startswith("--dbname=")]
        assert set(address.removeprefix("--dbname=").split()) == {
            *("host=db", "port=5433", "dbname=shop", "user=ada", "sslmode=require")
        }
        assert env["PGPASSWORD"] == "s3cret"
        assert "s3cret" not in str(command)


def test_missing_program_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _program: None)
    with pytest.raises(BackupError, match="pg_dump is not installed"):
        back_up(make_url("postgresql+psycopg://db/shop"), tmp_path / "backup")


def test_commands_make_and_restore_a_backup(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = settings.model_dump() | {"database_url": f"sqlite:///{tmp_path}/app.db"}
    monkeypatch.setattr(manage, "get_settings", lambda: TestSettings(**values))
    assert manage.main(["backup", f"{tmp_path}/backup"]) == 1
    assert capsys.readouterr().err.startswith("SQLite says")
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("CREATE TABLE things (name)")
    connection.close()
    assert manage.main(["backup", f"{tmp_path}/backup"]) == 0
    (tmp_path / "app.db").unlink()
    assert manage.main(["restore", f"{tmp_path}/backup"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output == [f"Wrote {tmp_path}/backup (0.0 MB).", f"Restored {tmp_path}/backup."]
    with sqlite3.connect(tmp_path / "app.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("things",)]
    connection.close()
