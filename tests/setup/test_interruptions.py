"""Ctrl-C and kill: nothing keeps running, nothing is half-written, and one command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.setup.toybox import Service, linux, posix, python_that_hangs, requirements

# The program that hangs, and the step in which it does.
HANGS = {"UV": 2, "index": 3, "ALEMBIC": 4, "INIT_DB": 4, "SERVER": 4}
HANGS_WITH_PIP = {"VENV": 2, "ENSUREPIP": 3, "index": 3}


@posix
@pytest.mark.parametrize("toy", HANGS)
def test_set_up_can_be_resumed_after_ctrl_c(service: Service, toy: str) -> None:
    process = service.start_and_hang(toy)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=30)[0]

    assert process.returncode == 130
    assert "Traceback" not in output
    assert f"Step {HANGS[toy]} was interrupted." in output
    assert f"[{HANGS[toy] + 1}/4]" not in output
    assert not service.is_hanging()
    settings = service.settings()
    service.index.trouble = ""
    service.resume(output)
    assert service.settings() == settings


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("toy", ["index", "SERVER"])
def test_signal_for_the_script_alone_ends_its_child(service: Service, toy: str, name: str) -> None:
    process = service.start_and_hang(toy)
    process.send_signal(signal.Signals[name])
    output = process.communicate(timeout=30)[0]

    assert process.returncode == 130
    assert f"Step {HANGS[toy]} was interrupted." in output
    assert not service.is_hanging()


@posix
def test_child_may_clean_up_after_ctrl_c(service: Service) -> None:
    """A migration that has started a database server stops it."""
    process = service.start_and_hang("ALEMBIC", how="tidy")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)

    assert not service.mark.exists()


@posix
@pytest.mark.parametrize("toy", HANGS)
def test_set_up_can_be_repeated_after_a_kill(service: Service, toy: str) -> None:
    process = service.start_and_hang(toy)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    settings = service.settings()
    service.index.trouble = ""

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    service.check_complete()
    assert service.settings() == settings


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("toy", HANGS_WITH_PIP)
def test_set_up_with_pip_can_be_resumed(
    service: Service, tmp_path: Path, toy: str, number: signal.Signals
) -> None:
    service.hide_uv()
    python = python_that_hangs(tmp_path)
    process = service.start_and_hang(toy, python)
    os.killpg(process.pid, number)
    output = process.communicate(timeout=30)[0]
    settings = service.settings()
    service.index.trouble = ""

    if number == signal.SIGINT:
        assert f"Step {HANGS_WITH_PIP[toy]} was interrupted." in output
        service.resume(output)
    else:
        result = service.run([str(python), str(service.script)])
        assert result.returncode == 0, result.stdout
        service.check_complete()
    assert service.settings() == settings


@posix
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "changed"])
def test_half_installed_environment_is_made_again(service: Service, *, is_new: bool) -> None:
    if not is_new:
        (service.root / "requirements-dev.txt").write_text("")
        assert "Step 4 failed" in service.set_up().stdout
        (service.root / "requirements-dev.txt").write_text(requirements("toybox"))
        service.index.asked.clear()
    process = service.start_and_hang("index")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    (service.root / ".venv/half").touch()
    service.index.trouble = ""

    assert service.set_up().returncode == 0

    assert not (service.root / ".venv/half").exists()


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_env_file_is_never_half_written(service: Service, name: str) -> None:
    script = service.load_script()
    code = f"""
import importlib.util, os, pathlib, signal, sys
spec = importlib.util.spec_from_file_location("setup_environment", {str(service.script)!r})
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
def interrupt(self, target):
    os.kill(os.getpid(), signal.{name})
pathlib.Path.replace = interrupt
sys.exit(script.main([]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert result.returncode in {130, -signal.SIGKILL}
    assert not (service.root / ".env").exists()
    assert script.write_env()
    assert (service.root / ".env").stat().st_mode & 0o777 == 0o600
    assert not (service.root / "var/env.draft").exists()


@posix
def test_interrupted_removal_leaves_no_half_environment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    (service.root / ".venv/lib").mkdir(parents=True)
    (service.root / ".venv/setup-stamp").touch()
    script = service.load_script()
    script.write_env()

    def interrupt(path: Path, *, ignore_errors: bool = False) -> None:
        if path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(script.shutil, "rmtree", interrupt)
    with pytest.raises(KeyboardInterrupt):
        script.make_venv()
    monkeypatch.undo()

    assert not (service.root / ".venv").exists()
    assert service.set_up().returncode == 0


# --- Children that don't end when they are asked ---


def test_stubborn_child_is_killed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    script = service.load_script()
    script.write_env()
    monkeypatch.setattr(script, "SECONDS_TO_STOP", 0.2)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(1, flush=True); time.sleep(60)"
    )

    with script.started(sys.executable, "-c", code) as (process, output):
        while not script.read(output):
            time.sleep(0.01)

    assert process.returncode == (1 if os.name == "nt" else -signal.SIGKILL)


def test_child_that_can_not_be_asked_is_killed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, a process without a console can't send Ctrl-Break."""
    script = service.load_script()
    script.write_env()

    def fail(process: object, number: int) -> None:
        raise OSError(6, "The handle is invalid")

    with script.started(sys.executable, "-c", "import time; time.sleep(60)") as (process, _):
        if os.name == "nt":
            monkeypatch.setattr(subprocess.Popen, "send_signal", fail)
        else:
            monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1000, raising=False)  # not a signal

    assert process.returncode == (1 if os.name == "nt" else -signal.SIGKILL)
