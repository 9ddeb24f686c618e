"""Steps that fail: the reason is named, no secret is shown, and one command goes on."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.setup.toybox import Service, linux, python_without
from tests.support import as_administrator


def go_offline(service: Service) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    service.env["PIP_INDEX_URL"] = service.env["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{port}/"


def answer_503(service: Service) -> None:
    service.index.trouble = "503"


def forge_packages(service: Service) -> None:
    service.index.trouble = "forged"


def answer_nothing(service: Service) -> None:
    service.index.trouble = "hang"
    service.env |= {"PIP_DEFAULT_TIMEOUT": "1", "UV_HTTP_TIMEOUT": "1"}


TROUBLES: dict[Callable[[Service], None], str] = {
    go_offline: "The package index can't be reached",
    answer_503: "The package index can't be reached",
    answer_nothing: "The package index can't be reached",
    forge_packages: "A package differs from the locked one.",
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda function: function.__name__)
def test_trouble_with_the_package_index_is_explained(
    service: Service, tmp_path: Path, installer: str, trouble: Callable[[Service], None]
) -> None:
    good = dict(service.env)
    service.env["UV_CACHE_DIR"] = service.env["PIP_CACHE_DIR"] = str(tmp_path / "empty")
    trouble(service)

    result = service.set_up()

    assert result.returncode == 1
    assert f"Step 3 failed: {TROUBLES[trouble]}" in result.stdout
    assert "[4/4]" not in result.stdout
    if installer == "pip" and trouble is not go_offline:
        return  # the rest is the same, and slow
    settings = service.settings()
    service.index.trouble = ""
    service.resume(result.stdout, **good)
    assert service.settings() == settings


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"TOY_ALEMBIC": "no such table"}, "`python -m alembic upgrade head` failed.\n"),
        ({"TOY_INIT_DB": "no such table"}, "`python -m app.db.init_db` failed.\n"),
        ({"TOY_INIT_DB": "database or disk is full"}, "The disk is full."),
        ({"TOY_SERVER": "Address in use"}, "`python -m app` failed.\n"),
    ],
    ids=["migrate", "superuser", "disk", "start"],
)
def test_failed_step_is_explained(service: Service, trouble: dict[str, str], reason: str) -> None:
    result = service.set_up(**trouble)

    assert result.returncode == 1
    assert f"Step 4 failed: {reason}" in result.stdout
    assert f"\n    {next(iter(trouble.values()))}" in result.stdout
    assert str(service.root / "var/setup.log") in result.stdout
    service.resume(result.stdout)


def test_packages_that_land_elsewhere_are_noticed(
    service: Service, tmp_path: Path, installer: str
) -> None:
    """A repaired configuration file is enough: nothing has been recorded as installed."""
    target = tmp_path / "elsewhere"
    if installer == "uv":
        del service.env["UV_NO_CONFIG"]
        config, text = "UV_CONFIG_FILE", f"[pip]\ntarget = '{target}'\n"
    else:
        config, text = "PIP_CONFIG_FILE", f"[install]\ntarget = {target}\n"
    service.env[config] = str(tmp_path / "config")
    (tmp_path / "config").write_text(text)

    result = service.set_up()

    assert result.returncode == 1
    assert "Step 3 failed: alembic is not in " in result.stdout
    assert f"Does a configuration file of {installer} set `target`" in result.stdout
    (tmp_path / "config").write_text("")
    service.resume(result.stdout)


def test_generation_without_hooks_is_noticed(service: Service) -> None:
    (service.root / "requirements-dev.postgresql.txt").touch()

    result = service.set_up()

    assert result.returncode == 1
    assert "The template's hooks have not run (--accept-hooks=no)" in result.stdout


def test_packages_that_are_gone_are_installed_again(service: Service) -> None:
    assert service.set_up().returncode == 0
    (package,) = service.root.glob(".venv/**/toybox-1.0.dist-info")
    shutil.rmtree(package)

    assert service.set_up().returncode == 0

    assert package.exists()


@pytest.mark.usefixtures("installer")
def test_requirement_without_a_hash_is_not_installed(service: Service) -> None:
    (service.root / "requirements-dev.txt").write_text("toybox==1.0\n")

    result = service.set_up()

    assert result.returncode == 1
    assert "Step 3 failed: " in result.stdout
    assert "hash" in result.stdout


def test_service_that_is_never_ready_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.set_up().returncode == 0
    monkeypatch.setenv("TOY_MARK", str(service.mark))
    monkeypatch.setenv("TOY_STATUS", "500")
    script = service.load_script()
    monkeypatch.setattr(script, "SECONDS_TO_START", 3)

    with pytest.raises(script.SetupError, match="GET /readyz: HTTP Error 500"):
        script.prepare()


def test_secrets_are_only_in_the_env_file(service: Service) -> None:
    assert service.set_up().returncode == 0
    password = service.settings()["FIRST_SUPERUSER_PASSWORD"]

    result = service.set_up(TOY_LEAK=f"{password} https://me:{'pass'}word@index/")
    log = (service.root / "var/setup.log").read_text("utf-8")
    failed = service.set_up(TOY_ALEMBIC=f"wrong password {password}")

    assert "password of ALEMBIC is *** https://***@index/" in log
    assert password not in log + result.stdout
    assert "wrong password ***" in failed.stdout
    assert password not in failed.stdout + (service.root / "var/setup.log").read_text("utf-8")
    if os.name != "nt":
        assert (service.root / "var/setup.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("installer", "free", "reason"),
    [
        ("uv", 0, "Step 1 failed: [Errno 28] No space left on device"),
        ("pip", 2**20, "Step 3 failed: The disk is full."),
    ],
    indirect=["installer"],
)
@pytest.mark.usefixtures("installer")
def test_full_disk_is_explained(service: Service, disk: Path, free: int, reason: str) -> None:
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - free))

    result = service.set_up()

    assert result.returncode == 1
    assert reason in result.stdout
    # The file with the secrets is complete, or doesn't exist.
    assert not (service.root / ".env").exists() or service.settings()["SECRET_KEY"]
    filler.unlink()
    service.resume(result.stdout)


@pytest.mark.parametrize(
    ("installer", "toy", "step"),
    [
        ("uv", "index", 3),
        ("pip", "index", 3),
        ("uv", "ALEMBIC", 4),
        ("uv", "INIT_DB", 4),
        ("uv", "SERVER", 4),
    ],
    indirect=["installer"],
)
@pytest.mark.usefixtures("installer")
def test_disk_that_fills_up_is_explained(
    service: Service, disk: Path, tmp_path: Path, toy: str, step: int
) -> None:
    filler = disk / "filler"
    trouble = {"TOY_FILLER": str(filler)}
    if toy == "index":
        service.index.filler = filler
        trouble |= dict.fromkeys(["UV_CACHE_DIR", "PIP_CACHE_DIR"], str(tmp_path / "empty"))
    else:
        trouble[f"TOY_{toy}"] = "fill"

    result = service.set_up(**trouble)

    assert result.returncode == 1
    assert f"Step {step} failed: " in result.stdout
    assert re.search(r"The disk is full|No space left on device", result.stdout)
    service.index.filler = None
    filler.unlink()
    service.resume(result.stdout)


def test_read_only_disk_is_explained(service: Service, disk: Path) -> None:
    as_administrator("mount", "-o", "remount,ro", str(disk))
    result = service.set_up()
    as_administrator("mount", "-o", "remount,rw", str(disk))

    assert result.returncode == 1
    assert "Step 1 failed: " in result.stdout
    assert "Read-only file system" in result.stdout
    service.resume(result.stdout)


@linux
def test_path_that_is_not_utf_8_is_an_error(service: Service, tmp_path: Path) -> None:
    service.root = service.root.rename(tmp_path / "caf\udce9")

    result = service.set_up()

    assert result.returncode == 1
    assert "Step 2 failed: " in result.stdout
    assert "caf\\udce9" in result.stdout


@linux
@pytest.mark.parametrize(("missing", "step"), [("ensurepip", 3), ("venv", 2)])
def test_python_without_a_module_is_explained(
    service: Service, tmp_path: Path, missing: str, step: int
) -> None:
    """Debian and Ubuntu put them into a package of their own, python3-venv."""
    python = python_without(tmp_path, missing)
    uv = Path(service.env["PATH"]) / "uv"
    hidden = uv.rename(tmp_path / "uv")

    result = service.run([str(python), str(service.script)])

    assert result.returncode == 1
    assert f"Step {step} failed: This Python can't make virtual environments." in result.stdout
    hidden.rename(uv)
    service.resume(result.stdout)


def test_old_python_says_that_it_is_too_old(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = service.load_script()
    monkeypatch.setattr(script, "OLDEST_PYTHON", (99, 1))

    assert script.main([]) == 1

    version = sys.version.split()[0]
    expected = f"Python 99.1 or newer is needed, but {sys.executable} is Python {version}.\n"
    assert capsys.readouterr().out == expected
    assert not (service.root / "var").exists()
