"""Every way to run cookiecutter, and to get the template, generates the same bytes.

test_updates.py compares with cruft.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from dev import BIN, TEMPLATE
from tests.support import commit, contents, copy_checkout, git, run

ANSWERS = {"project_name": 'Zoë\'s "shop"', "setup_environment": "no", "init_git": "no"}
TYPED = [f"{name}={value}" for name, value in ANSWERS.items()]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "template.git"
    folder.mkdir()
    git(folder, "init", "--quiet")
    copy_checkout(folder)
    commit(folder, "The present")
    return folder


def program(template: str, folder: Path) -> None:
    command = [sys.executable, "-m", "cookiecutter", "--no-input", template, *TYPED]
    run(*command, cwd=folder)


def library(template: str, folder: Path) -> None:
    config = {"replay_dir": str(folder.parent / "replay")}
    cookiecutter(
        template,
        no_input=True,
        extra_context=ANSWERS,
        output_dir=str(folder),
        default_config=config,
    )


def from_relative_folder(repository: Path, folder: Path) -> None:
    program(Path("../..", *repository.parts[-2:]).as_posix(), folder)


def from_url(repository: Path, folder: Path) -> None:
    program(repository.as_uri(), folder)


def from_bare_repository(repository: Path, folder: Path) -> None:
    bare = folder.parent / "bare.git"
    git(folder, "clone", "--quiet", "--bare", str(repository), str(bare))
    program(bare.as_uri(), folder)


def from_zip(repository: Path, folder: Path) -> None:
    """Make the archive that GitHub and GitLab offer for download."""
    archive = folder.parent / "template.zip"
    git(repository, "archive", "--prefix=template-main/", f"--output={archive}", "HEAD")
    program(str(archive), folder)


def with_locale_c(repository: Path, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTHONUTF8", "PYTHONIOENCODING"):
            patch.delenv(name, raising=False)
        patch.setenv("LC_ALL", "C")
        program(str(repository), folder)


def as_library(repository: Path, folder: Path) -> None:
    library(str(repository), folder)


@pytest.mark.parametrize(
    "way",
    [as_library, from_relative_folder, from_url, from_bare_repository, from_zip, with_locale_c],
)
def test_service_has_the_same_bytes(
    repository: Path, tmp_path: Path, way: Callable[[Path, Path], None]
) -> None:
    expected, found = tmp_path / "expected", tmp_path / "found"
    for folder in (expected, found):
        folder.mkdir()
    program(str(repository), expected)

    way(repository, found)

    expected_files, files = (contents(folder / "zoe_s_shop") for folder in (expected, found))
    for each in (expected_files, files):
        each.pop(".cruft.json", None)  # names the template's address
    assert files == expected_files
    assert 'Zoë\'s "shop"' in files["README.md"].decode()


@pytest.mark.parametrize("template", ["folder", "url"])
def test_address_of_the_template_is_recorded(
    repository: Path, tmp_path: Path, template: str
) -> None:
    way = from_relative_folder if template == "folder" else from_url
    (tmp_path / "found").mkdir()
    way(repository, tmp_path / "found")
    record = json.loads((tmp_path / "found/zoe_s_shop/.cruft.json").read_text("utf-8"))
    address = str(repository) if template == "folder" else repository.as_uri()
    assert record["template"] == address


@pytest.mark.nightly
def test_oldest_supported_cookiecutter_generates_the_same(repository: Path, tmp_path: Path) -> None:
    for version, folder in (("2.7.0", tmp_path / "old"), ("", tmp_path / "new")):
        folder.mkdir()
        if version:
            command = ["tool", "run", "--from", f"cookiecutter=={version}", "cookiecutter"]
            run(str(BIN / "uv"), *command, "--no-input", str(repository), *TYPED, cwd=folder)
        else:
            program(str(repository), folder)
    assert contents(tmp_path / "old") == contents(tmp_path / "new")


@pytest.mark.nightly
@pytest.mark.parametrize("version", ["2.1.1", "2.6.0"])
def test_older_cookiecutter_is_rejected(repository: Path, tmp_path: Path, version: str) -> None:
    command = ["tool", "run", "--from", f"cookiecutter=={version}", "cookiecutter"]
    done = subprocess.run(
        [BIN / "uv", *command, "--no-input", str(repository)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "this template needs cookiecutter 2.7 or newer" in done.stderr
    assert list(tmp_path.iterdir()) == []


HANGING = """#!{python}
import pathlib, time
pathlib.Path({mark!r}).touch()
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C can't be sent to a group of processes there")
def test_ctrl_c_during_the_set_up_keeps_the_service(repository: Path, tmp_path: Path) -> None:
    """The signal reaches cookiecutter, the hook and the programs that the hook runs."""
    programs, mark = tmp_path / "programs", tmp_path / "mark"
    programs.mkdir()
    (programs / "uv").write_text(HANGING.format(python=sys.executable, mark=str(mark)))
    (programs / "uv").chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "cookiecutter", "--no-input", str(repository)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while not mark.exists():
        assert process.poll() is None
        time.sleep(0.02)

    os.killpg(process.pid, signal.SIGINT)

    output = process.communicate(timeout=60)[0]
    assert "Creating .venv ... interrupted" in output
    assert str(tmp_path / "my_service/scripts/setup_environment.py") in output
    whole = tmp_path / "whole"
    whole.mkdir()
    run(
        *(sys.executable, "-m", "cookiecutter", "--no-input", str(repository)),
        *("setup_environment=no", "init_git=no"),
        cwd=whole,
    )
    files = contents(tmp_path / "my_service")
    made = {name for name in files if name == ".env" or name.startswith((".venv/", "var/"))}
    assert ".env" in made
    assert files.keys() - made == contents(whole / "my_service").keys()


SLOW = "# {% for a in range(99999) %}# {% for b in range(99999) %}# {% endfor %}# {% endfor %}\n"


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C can't be sent to a group of processes there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_rendering_leaves_a_note(
    repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    git(tmp_path, "clone", "--quiet", str(repository), "template")
    slow = tmp_path / "template" / TEMPLATE.name / "zz.txt"  # the last file of its folder
    slow.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "cookiecutter", "--no-input", "template", "project_slug=shop"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (tmp_path / "shop/pyproject.toml").exists():
        assert process.poll() is None
        time.sleep(0.02)

    os.killpg(process.pid, number)

    assert process.wait(timeout=30) != 0
    note = (tmp_path / "shop/INCOMPLETE.txt").read_text("utf-8")
    assert note.startswith("Generation was interrupted.")
