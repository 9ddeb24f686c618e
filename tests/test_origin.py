"""What is recorded of where a service comes from; test_updates.py gives it to cruft."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dev import ROOT
from hooks import pre_gen_project as hook
from tests.support import commit, git


def test_without_git_there_is_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    hook.record_origin({"_repo_dir": str(ROOT), "_template": str(ROOT)})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template's repository: just what the hook looks at."""
    folder = tmp_path / "template"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "cookiecutter.json").write_text("{}")
    commit(folder, "First")
    return folder


def record(root: Path, template: Path, **answers: object) -> str | None:
    with contextlib.chdir(root):
        return hook.record_origin(
            {"_repo_dir": str(template), "_template": str(template), **answers}
        )


def recorded(root: Path, template: Path, **answers: object) -> dict[str, Any]:
    assert record(root, template, **answers) is None
    found: dict[str, Any] = json.loads((root / hook.RECORD).read_text("ascii"))
    return found


@pytest.mark.parametrize("checkout", [None, "v1.2.0"])
def test_checkout_is_recorded(tmp_path: Path, template: Path, checkout: str | None) -> None:
    found = recorded(tmp_path, template, _checkout=checkout)
    assert found["checkout"] == checkout
    assert found["commit"] == git(template, "rev-parse", "HEAD")


def test_variables_of_git_lead_to_no_other_repository(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a hook of git sets them."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, "Another")
    expected = git(template, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert recorded(tmp_path, template)["commit"] == expected


def test_repository_around_the_template_is_not_its_own(tmp_path: Path, template: Path) -> None:
    """Such as that of somebody who has copied the template into it."""
    (template / "copy").mkdir()
    (template / "copy/cookiecutter.json").write_text("{}")
    commit(template, "Copy")
    assert record(tmp_path, template / "copy") == "the template is not a git repository"
    assert not (tmp_path / hook.RECORD).exists()


def test_broken_repository_is_not_taken_for_the_one_around_it(
    tmp_path: Path, template: Path
) -> None:
    copy = template / "copy"
    (copy / ".git").mkdir(parents=True)
    (copy / "cookiecutter.json").write_text("{}")
    commit(template, "Copy")
    assert record(tmp_path, copy) == "git knows no commit of the template"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_changes_may_have_any_name(tmp_path: Path, template: Path) -> None:
    git(template, "config", "core.quotePath", "false")
    Path(os.fsdecode(bytes(template) + b"/\xff")).touch()
    assert record(tmp_path, template) == "the template has changes that are not committed"
