"""A .venv that exists already: kept, made again, or left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup.toybox import Service, posix, requirements


def test_working_environment_of_somebody_else_is_used(service: Service) -> None:
    venv = service.root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (venv / "mine").touch()

    assert service.set_up().returncode == 0

    assert (venv / "mine").exists()
    service.check_complete()


def test_folder_that_is_not_an_environment_is_left_alone(service: Service) -> None:
    (service.root / ".venv").mkdir()
    (service.root / ".venv/letter.txt").write_text("mine")

    result = service.set_up()

    assert result.returncode == 1
    assert "this script didn't make it. Move it away." in result.stdout
    assert (service.root / ".venv/letter.txt").read_text() == "mine"


@posix
def test_link_to_a_folder_is_left_alone(service: Service, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/setup-stamp").touch()
    (service.root / ".venv").symlink_to(tmp_path / "shared")

    result = service.set_up()

    assert result.returncode == 1
    assert "Move it away." in result.stdout
    assert (tmp_path / "shared/setup-stamp").exists()


@pytest.mark.parametrize("stamp", [b"", b"x", b"x\n", b"\xff\n\n"], ids=ascii)
def test_environment_with_a_damaged_stamp_is_made_again(service: Service, stamp: bytes) -> None:
    assert service.set_up().returncode == 0
    (service.root / ".venv/old").touch()
    (service.root / ".venv/setup-stamp").write_bytes(stamp)

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    assert not (service.root / ".venv/old").exists()
    service.check_complete()


# Pretends to be Python 3.10.
OLD_PYTHON = f"#!{sys.executable} -I\nimport sys\nsys.version_info = (3, 10)\nexec(sys.argv[-1])\n"


@pytest.mark.parametrize(
    "damage",
    [
        *("gone", "broken", "moved"),
        *(pytest.param(damage, marks=posix) for damage in ("too old", "shorter path")),
    ],
)
def test_environment_that_does_not_work_is_made_again(service: Service, damage: str) -> None:
    short = service.root
    if damage == "shorter path":  # the old path ends with the new one
        long = Path(f"{short.parent}/outer{short}")
        long.parent.mkdir(parents=True)
        service.root = short.rename(long)
    assert service.set_up().returncode == 0
    (service.root / ".venv/old").touch()
    match damage:
        case "gone":
            service.python.unlink()
        case "broken":
            service.python.unlink()
            service.python.write_text("")
        case "too old":
            service.python.unlink()
            service.python.write_text(OLD_PYTHON)
            service.python.chmod(0o755)
        case "moved":
            service.root = service.root.rename(service.root.with_name("moved"))
        case "shorter path":
            service.root = service.root.rename(short)

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    assert not (service.root / ".venv/old").exists()
    service.check_complete()


def test_environment_made_by_uv_gets_pip_when_uv_is_gone(service: Service) -> None:
    assert service.set_up().returncode == 0
    (service.root / "requirements-dev.txt").write_text(requirements("toybox") + "# new\n")
    service.hide_uv()

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    assert "Installing packages with pip" in result.stdout


@posix
@pytest.mark.parametrize("name", ["a:b", 'a"b', "a$b", "a`b"], ids=ascii)
def test_uv_works_in_a_path_with_special_characters(
    service: Service, tmp_path: Path, name: str
) -> None:
    service.root = service.root.rename(tmp_path / name)

    result = service.set_up(TOY_ALEMBIC="trouble")

    assert "Step 4 failed" in result.stdout
    service.resume(result.stdout)


@posix
def test_pip_in_a_path_with_a_colon_is_an_error(service: Service, tmp_path: Path) -> None:
    service.root = service.root.rename(tmp_path / "a:b")
    service.hide_uv()

    result = service.set_up()

    assert result.returncode == 1
    assert "Step 2 failed: " in result.stdout
    assert "contains the PATH separator" in result.stdout


@pytest.mark.nightly
def test_old_pip_installs_the_locked_packages(service: Service) -> None:
    """Test the pip that Python 3.11.0 came with, or the first that runs on newer ones."""
    version = "22.3" if sys.version_info < (3, 12) else "23.2.1"
    venv = service.root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    command = ["uv", "pip", "install", "--quiet", "--python", str(venv), f"pip=={version}"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})
    service.hide_uv()

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    service.check_complete()
