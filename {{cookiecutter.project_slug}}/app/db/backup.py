"""Backups of the whole database, while the service runs: `python -m app.manage backup`."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from app.core.exceptions import AppError


class BackupError(AppError):
    """A backup can't be made or restored. The message says why."""


def back_up(url: URL, path: Path) -> None:
    """Write everything that is committed at this moment to a new file. Raises BackupError."""
    if path.exists():
        raise BackupError(f"{path} exists already.")
    # It gets its name when it is complete.
    part = path.with_name(f"{path.name}.part")
    try:
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(Path(str(url.database)), part)
        else:
            _run_postgres("pg_dump", url, "--format=custom", f"--file={part}")
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def restore(url: URL, path: Path) -> None:
    """Fill an empty database from the backup, completely or not at all. Raises BackupError."""
    if not path.is_file():
        raise BackupError(f"There is no file {path}.")
    if url.get_backend_name() == "sqlite":
        database = Path(str(url.database))
        if database.exists():
            raise BackupError(f"{database} exists already. Move it away first.")
        back_up(url.set(database=str(path)), database)  # a copy of the copy
    else:
        options = ("--exit-on-error", "--single-transaction", str(path))
        _run_postgres("pg_restore", url, *options)


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as database,
            closing(sqlite3.connect(target)) as copy,
        ):
            database.backup(copy)
            (outcome,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"SQLite says: {error}") from None
    if outcome != "ok":
        raise BackupError(f"{source} is damaged: {outcome}")


def _run_postgres(program: str, url: URL, *arguments: str) -> None:
    """Run one of PostgreSQL's programs, which must be of the server's version or newer."""
    if shutil.which(program) is None:
        raise BackupError(f"{program} is not installed. Install PostgreSQL's client programs.")
    _, parameters = url.get_dialect()().create_connect_args(url)
    password = parameters.pop("password", None)
    command = [program, "--no-password", "--no-owner", "--no-privileges"]
    done = subprocess.run(  # noqa: S603 -- a fixed program, without a shell
        [*command, f"--dbname={make_conninfo(**parameters)}", *arguments],
        # Not an argument: other users of the host see those.
        env=os.environ | ({"PGPASSWORD": password} if password else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {done.stderr.strip()}")
