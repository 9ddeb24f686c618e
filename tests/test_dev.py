"""dev.py creates its own environment, and ignores any other."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import dev


@pytest.fixture
def requirements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Point dev.py to a new folder, and return the empty requirements.txt there."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("")
    monkeypatch.setattr(dev, "REQUIREMENTS", requirements)
    monkeypatch.setattr(dev, "PYTHON", tmp_path / dev.PYTHON.relative_to(dev.ROOT))
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    return requirements


def test_environment_keeps_only_the_variables_that_reach_an_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign = ["VIRTUAL_ENV", "PYTHONPATH", "PIP_TARGET", "PIP_USER", "UV_PROJECT_ENVIRONMENT"]
    kept = ["PIP_INDEX_URL", "PIP_CERT", "UV_DEFAULT_INDEX", "UV_INDEX_COMPANY_PASSWORD", "HOME"]
    for name in [*foreign, *kept]:
        monkeypatch.setenv(name, "value")

    environment = dev.clean_environment()

    assert [name for name in foreign if name in environment] == []
    assert [name for name in kept if name not in environment] == []
    assert environment["PATH"].startswith(str(dev.BIN))


def test_old_python_exits_with_the_required_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))

    with pytest.raises(
        SystemExit, match=r"Python 3\.11 or newer is required, but this is 3\.10\.1"
    ):
        dev.main(["test"])


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["tset"], 2), (["--help"], 0)])
def test_usage_lists_every_command(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dev.main(arguments) == code

    shown = capsys.readouterr().out
    assert [name for name in dev.COMMANDS if f"dev.py {name}" not in shown] == []


def test_environment_is_made_once_for_the_same_requirements(
    requirements: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    requirements.write_text("not a requirement\n")
    with pytest.raises(SystemExit, match="could not be installed"):
        dev.make_environment()
    (dev.VENV / "left-over").touch()
    capfd.readouterr()

    requirements.write_text("")
    dev.make_environment()
    assert "Preparing" in capfd.readouterr().out
    assert not (dev.VENV / "left-over").exists()

    dev.make_environment()
    assert capfd.readouterr().out == ""


def test_environment_is_made_without_ensurepip(
    monkeypatch: pytest.MonkeyPatch, requirements: Path
) -> None:
    """Debian without python3-venv has a pip that can install into another environment."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "ensurepip" else find_spec(name),
    )

    dev.make_environment()

    assert dev.PYTHON.exists()
    assert not list(dev.VENV.rglob("site-packages/pip"))


def test_link_to_another_environment_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    link = tmp_path / ".venv"
    link.symlink_to(other, target_is_directory=True)
    monkeypatch.setattr(dev, "VENV", link)

    with pytest.raises(SystemExit, match="is a link"):
        dev.make_environment()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps caches outside HOME")
@pytest.mark.parametrize("name", ["PIP_CACHE_DIR", "UV_CACHE_DIR"])
def test_cache_is_outside_the_home_of_a_test_process(name: str) -> None:
    """All test processes share it, although each has its own HOME."""
    assert not Path(os.environ[name]).is_relative_to(os.environ["HOME"])
