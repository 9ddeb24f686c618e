"""A later start recovers from a killed process and from a failed start."""

import os
import socket
from pathlib import Path

import pytest

from app.db import local_postgres as module
from app.db.local_postgres import LocalPostgresError, local_postgres
from tests.db.local_postgres.servers import enter, kill_server, pid_file, query, server

# Starting servers takes time, and the module seldom changes.
pytestmark = pytest.mark.slow

OTHER_PROCESS = "{pid}\n{data}\n1\n5432\n\n\n\nready\n"


def test_killed_server_is_started_again(directory: Path) -> None:
    with local_postgres(directory) as url:
        query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        kill_server(directory)
        with local_postgres(directory) as new_url:
            assert query(new_url, "SELECT answer FROM kept") == 42
            query(new_url, "DROP TABLE kept")
        kill_server(directory)
    assert not pid_file(directory).exists()


@pytest.mark.parametrize("content", [OTHER_PROCESS, "99999999\n", "-1", ""])
def test_pid_file_of_another_process_is_ignored(directory: Path, content: str) -> None:
    enter(directory)
    file = pid_file(directory)
    file.write_text(content.format(pid=os.getpid(), data=file.parent))
    file.chmod(0o600)
    with local_postgres(directory, durable=False) as url:
        assert query(url, "SELECT 1") == 1


@pytest.mark.parametrize("keep", [None, 5])
def test_half_started_server_is_started_again(directory: Path, keep: int | None) -> None:
    with local_postgres(directory, durable=False):
        before = server(directory)
        lines = pid_file(directory).read_text().replace("ready", "starting").split("\n")
        pid_file(directory).write_text("\n".join(lines[:keep]))
        with local_postgres(directory, durable=False) as url:
            assert query(url, "SELECT 1") == 1
            assert server(directory) != before


def test_interrupted_initdb_is_repeated(
    new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(cluster: object, program: str, option: str, new: str, *_: str) -> None:
        Path(new).mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.Cluster, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            enter(new_directory)
    home = new_directory / "cluster"
    assert not (home / "data").exists()
    assert list(home.glob("new-*"))
    with local_postgres(new_directory, durable=False) as url:
        assert query(url, "SELECT 1") == 1
    assert not list(home.glob("new-*"))


def test_taken_port_is_replaced_by_another(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(directory)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = [taken, taken, module._free_port()]
        monkeypatch.setattr(module, "_free_port", lambda: ports.pop(0))
        with local_postgres(directory, durable=False) as url:
            assert query(url, "SELECT 1") == 1
        assert not ports
        monkeypatch.setattr(module, "_free_port", lambda: taken)
        message = r"(?s)doesn't start.*server\.log:.*could not bind"
        with pytest.raises(LocalPostgresError, match=message):
            enter(directory)
