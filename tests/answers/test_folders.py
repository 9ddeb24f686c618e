"""Output folders: full disks, unusable paths and folders that exist already."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException, OutputDirExistsException
from cookiecutter.main import cookiecutter

from dev import ROOT
from hooks import pre_gen_project as hook
from tests.answers.cases import GOOD, PROBE
from tests.answers.support import Generate, cookiecutter_program, tree
from tests.support import as_administrator

UNUSABLE_FOLDERS = {
    "expression": ("{{ 7*7 }}", "contains '{{', which cookiecutter evaluates"),
    "block": ("# {% if 1 %}", "contains '# {%', which cookiecutter evaluates"),
    "comment": ("# {# x #}", "contains '# {#', which cookiecutter evaluates"),
    "quote": ('a"b', "contains '\"', and neither PostgreSQL"),
    "dollar": ("a$b", "contains '$', and neither PostgreSQL"),
    "backtick": ("a`b", "contains '`', and neither PostgreSQL"),
    "backslash": ("a\\b", r"contains '\\', and neither PostgreSQL"),
    "line-break": ("a\nb", r"contains '\n', and neither PostgreSQL"),
    "bytes": ("caf\udce9", "contains bytes that are not valid in this system's encoding"),
}


def test_full_disk_leaves_nothing(
    small_disk: Path, probe: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the check, cookiecutter would leave the files that fitted."""
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(free - hook.NEEDED_BYTES // 2))
    with pytest.raises(FailedHookException):
        cookiecutter(str(probe), no_input=True, output_dir=str(small_disk), config_file=str(config))
    assert "free space = '2.5 MB'" in capfd.readouterr().err
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_read_only_disk_leaves_nothing(small_disk: Path, probe: Path, config: Path) -> None:
    as_administrator("mount", "-o", "remount,ro", str(small_disk))
    with pytest.raises(OSError, match="Unable to create directory"):
        cookiecutter(str(probe), no_input=True, output_dir=str(small_disk), config_file=str(config))
    assert list(small_disk.iterdir()) == []


def test_existing_folder_is_never_changed(
    generate: Generate, parent: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = parent / "my_service"
    project.mkdir()
    (project / "file").write_text("precious", "utf-8")
    before = tree(parent.parent)
    with pytest.raises(OutputDirExistsException):
        generate()
    with pytest.raises(FailedHookException):
        generate(overwrite_if_exists=True)
    assert "name of a folder that already exists and contains 'file'" in capfd.readouterr().err
    with pytest.raises(FailedHookException):
        generate(overwrite_if_exists=True, answers={"author_email": "x"})
    with pytest.raises(FailedHookException):
        generate(overwrite_if_exists=True, answers={"project_slug": "../my_service"})
    assert tree(parent.parent) == before


def test_empty_repository_can_be_filled(generate: Generate, probe: Path, parent: Path) -> None:
    (parent / "my_service/.git").mkdir(parents=True)
    project = generate(probe, overwrite_if_exists=True)
    assert {path.name for path in project.iterdir()} >= {".git", *PROBE}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow fewer characters in names")
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("database", hook.CHOICES["database"])
@pytest.mark.parametrize(("name", "reason"), UNUSABLE_FOLDERS.values(), ids=UNUSABLE_FOLDERS)
def test_unusable_folder_is_rejected(
    parent: Path,
    config: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    name: str,
    reason: str,
    database: str,
) -> None:
    folder = parent / name
    folder.mkdir()
    with pytest.raises(FailedHookException):
        cookiecutter(
            str(ROOT),
            no_input=True,
            extra_context={**GOOD, "database": database},
            output_dir=str(folder),
            config_file=str(config),
        )
    message = capfd.readouterr().err
    assert "\n  output folder = " in message
    assert reason in " ".join(message.split())
    assert "Run it again" not in message
    assert list(folder.iterdir()) == []
    folder.rmdir()


@pytest.mark.usefixtures("untouched")
@pytest.mark.skipif(os.name == "nt", reason="making links needs extra rights there")
def test_unusable_link_to_the_folder_is_rejected(
    parent: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    link = parent.parent / "{{ 7*7 }}"
    link.symlink_to(parent)
    with pytest.raises(FailedHookException):
        cookiecutter(str(ROOT), no_input=True, output_dir=str(link), config_file=str(config))
    message = capfd.readouterr().err
    assert "which cookiecutter evaluates" in " ".join(message.split())
    assert "project folder" not in message
    link.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are always UTF-8")
def test_folder_outside_the_encoding_is_rejected(parent: Path, tmp_path: Path) -> None:
    folder = parent / "caf\u00e9"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LC_ALL", "C")
        code, output = cookiecutter_program(
            folder, tmp_path / "home", str(ROOT), "--no-input", utf8="0"
        )
    assert code == 1
    assert "system's encoding, ascii; use another folder" in " ".join(output.split())
    assert list(folder.iterdir()) == []
