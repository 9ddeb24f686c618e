"""The record of where a service comes from; test_updates.py lets cruft read it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hooks import post_gen_project as hook
from tests.support import commit, git


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A repository with the one file that the hook looks for."""
    folder = tmp_path / "template"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "cookiecutter.json").write_text("{}")
    commit(folder, "First")
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Path:
    folder = tmp_path / "service"
    folder.mkdir()
    return folder


def record(service: Path, template: Path, **answers: object) -> str | None:
    with contextlib.chdir(service):
        return hook.record_origin(
            {"_repo_dir": str(template), "_template": str(template), **answers}
        )


def recorded(service: Path, template: Path, **answers: object) -> dict[str, Any]:
    assert record(service, template, **answers) is None
    found: dict[str, Any] = json.loads((service / hook.RECORD).read_text("ascii"))
    return found


# Recorded


@pytest.mark.parametrize("checkout", [None, "v1.2.0"])
def test_commit_and_checkout_are_recorded(
    service: Path, template: Path, checkout: str | None
) -> None:
    found = recorded(service, template, _checkout=checkout)
    assert found["checkout"] == checkout
    assert found["commit"] == git(template, "rev-parse", "HEAD")


def test_only_given_answers_are_recorded(service: Path, template: Path) -> None:
    found = recorded(service, template, project_name="Zoë", __project_name="Zoë", _output_dir="x")
    assert found["context"]["cookiecutter"] == {
        "project_name": "Zoë",
        "_template": str(template),
        "_commit": found["commit"],
    }


@pytest.mark.parametrize("start", ["PWD", "_output_dir"])
def test_relative_address_of_the_template_is_resolved(
    service: Path, template: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setenv("PWD", str(template.parent if start == "PWD" else service))
    answers = {"_output_dir": str(template.parent)} if start == "_output_dir" else {}
    found = recorded(service, Path("template"), **answers)
    assert found["template"] == str(template)


def test_variables_of_git_lead_to_no_other_repository(
    service: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of git sets them for all programs that it starts."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, "Another")
    expected = git(template, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert recorded(service, template)["commit"] == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    {
        "https://me:p@ss@host/x": "https://host/x",
        "https://me@host/x": "https://host/x",
        "HTTPS://me:pass@host/x@y": "HTTPS://host/x@y",
        "git+https://token@host/x": "git+https://host/x",
        "https://host/a@b": "https://host/a@b",
        "ssh://git@host/x": "ssh://git@host/x",
        "ssh://git:pass@host:22/x": "ssh://git@host:22/x",
        "ssh://git:p@ss@host/x": "ssh://git@host/x",
        "ftp://:pass@host/x": "ftp://@host/x",
        "git@host:x": "git@host:x",
        "gh:o/r": "gh:o/r",
        "/home/a:b@c/x": "/home/a:b@c/x",
    }.items(),
)
def test_passwords_are_removed_from_the_address(
    service: Path, template: Path, address: str, expected: str
) -> None:
    git(template, "config", "remote.origin.url", address)
    found = recorded(service, template, _template="as the user typed it")
    assert found["template"] == expected
    assert found["context"]["cookiecutter"]["_template"] == expected


# Not recorded, with a reason


def assert_skipped(service: Path, template: Path, reason: str) -> None:
    assert record(service, template) == reason
    assert not (service / hook.RECORD).exists()


def test_missing_git_skips_the_record(
    service: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert_skipped(service, template, "git could not read the template's commit")


def test_missing_folder_skips_the_record(service: Path, tmp_path: Path) -> None:
    assert_skipped(service, tmp_path / "gone", "the template's folder was not found")


def test_repository_without_a_commit_skips_the_record(service: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "cookiecutter.json").write_text("{}")
    assert_skipped(service, folder, "the template has no commit yet")


def test_repository_around_the_template_is_not_recorded(service: Path, template: Path) -> None:
    """Someone has copied the template into a repository of their own."""
    (template / "copy").mkdir()
    (template / "copy/cookiecutter.json").write_text("{}")
    commit(template, "Copy")
    assert_skipped(service, template / "copy", "the template is not a git repository")


def test_broken_repository_is_not_taken_for_the_one_around_it(
    service: Path, template: Path
) -> None:
    copy = template / "copy"
    (copy / ".git").mkdir(parents=True)
    (copy / "cookiecutter.json").write_text("{}")
    commit(template, "Copy")
    assert_skipped(service, copy, "git could not read the template's commit")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_changed_file_may_have_any_name(service: Path, template: Path) -> None:
    git(template, "config", "core.quotePath", "false")
    Path(os.fsdecode(bytes(template) + b"/\xff")).touch()
    assert_skipped(service, template, "the template has uncommitted changes")
