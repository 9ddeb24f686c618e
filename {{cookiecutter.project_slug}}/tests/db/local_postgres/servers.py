"""Starts PostgreSQL servers in folders, also from other processes, and looks at them."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from app.db.local_postgres import local_postgres

NOT_ON_WINDOWS = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


def read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def query(url: str, sql: str) -> Any:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        cursor = connection.execute(sql.encode())
        return next(cursor)[0] if cursor.description else None


def enter(directory: Path, *, database: str = "app") -> None:
    with local_postgres(directory, database=database, durable=False):
        pass


def pid_file(directory: Path) -> Path:
    return directory / "cluster" / "data" / "postmaster.pid"


def server(directory: Path) -> psutil.Process:
    return psutil.Process(int(pid_file(directory).read_text().split()[0]))


def is_running(directory: Path) -> bool:
    return pid_file(directory).exists() and server(directory).status() != psutil.STATUS_ZOMBIE


def kill_server(directory: Path) -> None:
    process = server(directory)
    process.kill()
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)  # pragma: no cover -- it may have ended already
