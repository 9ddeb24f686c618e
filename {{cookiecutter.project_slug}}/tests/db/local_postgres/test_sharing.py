"""Blocks, threads and processes share one server, which the last user stops."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.config import ROOT
from app.db.local_postgres import local_postgres
from tests.db.local_postgres.servers import NOT_ON_WINDOWS, enter, is_running, query, read_url

# Starting servers takes time, and the module seldom changes.
pytestmark = pytest.mark.slow


FORK = """
import os, sys
from pathlib import Path
from app.db.local_postgres import local_postgres

directory = Path(sys.argv[1])
entered, left = os.pipe(), os.pipe()
with local_postgres(directory, durable=False) as url:
    child = os.fork()
    if child:
        os.read(entered[0], 1)
    else:
        with local_postgres(directory) as same:
            os.write(entered[1], b".")
            os.read(left[0], 1)
            assert same == url
            assert (directory / "cluster" / "data" / "postmaster.pid").exists()
if child:
    os.write(left[1], b".")
    assert os.waitpid(child, 0)[1] == 0
"""


def test_last_block_stops_the_server_and_keeps_the_data(directory: Path) -> None:
    with local_postgres(directory, durable=False) as url:
        query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        with local_postgres(directory / ".." / directory.name) as same:
            assert same == url
        assert query(url, "SELECT answer FROM kept") == 42
    assert not is_running(directory)
    with local_postgres(directory, durable=False) as url:
        assert query(url, "SELECT answer FROM kept") == 42
        query(url, "DROP TABLE kept")


def test_each_folder_has_its_own_server(directory: Path, new_directory: Path) -> None:
    other = new_directory / "it's é; %A% & (more)"
    with (
        local_postgres(directory, durable=False) as first,
        local_postgres(other, durable=False) as second,
    ):
        assert Path(query(first, "SHOW data_directory")) == directory / "cluster" / "data"
        assert Path(query(second, "SHOW data_directory")) == other / "cluster" / "data"
    assert not is_running(other)


def test_processes_share_one_server(
    directory: Path, start_user: Callable[..., subprocess.Popen[str]]
) -> None:
    first, second, third = start_user(), start_user(), start_user()
    url = read_url(first)
    assert url
    assert url == read_url(second) == read_url(third)
    for leaving in (first, second):
        leaving.communicate()
        assert query(url, "SELECT 1") == 1
    enter(directory)
    assert query(url, "SELECT 1") == 1
    third.communicate()
    assert not is_running(directory)


def test_killed_user_is_forgotten(
    directory: Path, start_user: Callable[..., subprocess.Popen[str]]
) -> None:
    user = start_user()
    url = read_url(user)
    user.kill()
    user.wait()
    assert is_running(directory)
    with local_postgres(directory) as same:
        assert same == url
    assert not is_running(directory)


@NOT_ON_WINDOWS
def test_ctrl_c_of_one_user_spares_the_server_of_others(
    directory: Path, start_user: Callable[..., subprocess.Popen[str]]
) -> None:
    assert sys.platform != "win32"
    user = start_user(start_new_session=True, stderr=subprocess.DEVNULL)
    url = read_url(user)
    with local_postgres(directory):
        os.killpg(user.pid, signal.SIGINT)
        assert user.wait() != 0
        assert query(url, "SELECT 1") == 1


@NOT_ON_WINDOWS
def test_forked_child_shares_the_server(directory: Path) -> None:
    command = [sys.executable, "-c", FORK, str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert not is_running(directory)
