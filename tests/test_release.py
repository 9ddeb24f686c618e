"""A release is only tagged when all is ready for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dev import ROOT
from tests.support import commit, git
from tools.release import FOR_OWNERS, release, sections

TODAY = "2026-11-24"
NOTES = f"### Added\n\n- Much.\n\n{FOR_OWNERS}\n\n- Nothing to do."
CHANGELOG = f"# Changelog\n\n## Unreleased\n\n## 1.10.0 - {TODAY}\n\n{NOTES}\n\n## 1.9.0 - 2026-01-01\n\nOld.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, "utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Much")
    for tag in ("v1.9.0", "v1.8.0", "vintage"):
        git(tmp_path, "tag", tag)
    return tmp_path


def test_tag_has_the_notes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release(repository, "1.10.0", TODAY)

    assert git(repository, "cat-file", "-t", "v1.10.0") == "tag"
    message = git(repository, "for-each-ref", "--format=%(contents)", "refs/tags/v1.10.0")
    assert message == f"Release 1.10.0\n\n{NOTES}"
    assert git(repository, "rev-parse", "v1.10.0^{}") == git(repository, "rev-parse", "HEAD")
    assert "git push origin main v1.10.0\n" in capsys.readouterr().out


def test_first_release(repository: Path) -> None:
    for tag in ("v1.9.0", "v1.8.0", "vintage"):
        git(repository, "tag", "--delete", tag)
    (repository / "CHANGELOG.md").write_text(CHANGELOG.replace("1.10.0", "0.1.0"), "utf-8")
    commit(repository, "Notes")

    release(repository, "0.1.0", TODAY)

    assert git(repository, "tag") == "v0.1.0"


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("v1.10.0", "no version"),
        ("1.10", "no version"),
        ("1.10.0rc1", "no version"),
        ("1.9.0", "does not come after 1.9.0"),
        ("1.8.9", "does not come after 1.9.0"),
        ("1.11.0", "no section '## 1.11.0 - 2026-11-24'"),
    ],
)
def test_version_is_refused(repository: Path, version: str, reason: str) -> None:
    with pytest.raises(SystemExit, match=reason):
        release(repository, version, TODAY)
    assert git(repository, "tag").split() == ["v1.8.0", "v1.9.0", "vintage"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("## Unreleased\n", "## Unreleased\n\n- More.\n", "something under Unreleased"),
        (TODAY, "2026-11-23", "no section"),
        (FOR_OWNERS, "### Fixed", "has no '### For services"),
    ],
)
def test_changelog_is_refused(repository: Path, old: str, new: str, reason: str) -> None:
    (repository / "CHANGELOG.md").write_text(CHANGELOG.replace(old, new), "utf-8")
    git(repository, "commit", "--quiet", "--all", "--message", "Edit")
    with pytest.raises(SystemExit, match=reason):
        release(repository, "1.10.0", TODAY)


def test_what_is_not_committed_is_refused(repository: Path) -> None:
    (repository / "new.txt").touch()
    with pytest.raises(SystemExit, match=r"not committed:\n\?\? new.txt"):
        release(repository, "1.10.0", TODAY)


@pytest.mark.parametrize("arguments", [["--create", "other"], ["--detach"]], ids=["other", "none"])
def test_other_branch_is_refused(repository: Path, arguments: list[str]) -> None:
    git(repository, "switch", "--quiet", *arguments)
    with pytest.raises(SystemExit, match="releases are made on main"):
        release(repository, "1.10.0", TODAY)


def test_released_twice_is_refused(repository: Path) -> None:
    release(repository, "1.10.0", TODAY)
    with pytest.raises(SystemExit, match=r"does not come after 1\.10\.0"):
        release(repository, "1.10.0", TODAY)


def test_changelog_of_the_template_is_ready_for_a_release() -> None:
    """Whatever is added under Unreleased says what it means for owners, from the beginning."""
    parts = sections((ROOT / "CHANGELOG.md").read_text("utf-8"))
    titles = list(parts)
    assert titles[0] == "Unreleased"
    for title, text in parts.items():
        assert not text or FOR_OWNERS in text, title
        assert title == "Unreleased" or re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title)
