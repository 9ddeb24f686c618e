"""dev.py sets itself up, and lets nothing of other environments in."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import dev


@pytest.fixture
def requirements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Point dev.py to another folder; give its requirements.txt, which is empty."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("")
    monkeypatch.setattr(dev, "REQUIREMENTS", requirements)
    monkeypatch.setattr(dev, "PYTHON", tmp_path / dev.PYTHON.relative_to(dev.ROOT))
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    return requirements


def test_foreign_settings_are_dropped_and_the_way_to_an_index_is_kept(
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


def test_old_python_is_told_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))

    with pytest.raises(
        SystemExit, match=r"Python 3\.11 or newer is required, but this is 3\.10\.1"
    ):
        dev.main(["test"])


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["tset"], 2), (["--help"], 0)])
def test_usage(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
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
    """As on Debian without python3-venv: the pip that runs installs into the new environment."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "ensurepip" else find_spec(name),
    )

    dev.make_environment()

    assert dev.PYTHON.exists()
    assert not list(dev.VENV.rglob("site-packages/pip"))


def test_an_environment_of_somebody_else_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    link = tmp_path / ".venv"
    link.symlink_to(other, target_is_directory=True)
    monkeypatch.setattr(dev, "VENV", link)

    with pytest.raises(SystemExit, match="is a link"):
        dev.make_environment()


@pytest.mark.skipif(os.name == "nt", reason="there, caches are not below HOME")
@pytest.mark.parametrize("name", ["PIP_CACHE_DIR", "UV_CACHE_DIR"])
def test_processes_of_the_tests_share_a_cache(name: str) -> None:
    """Each of them has a HOME of its own."""
    assert not Path(os.environ[name]).is_relative_to(os.environ["HOME"])
