"""Releases: made only when everything is ready, tagged, and recorded in releases.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dev import ROOT
from tests.support import commit, git
from tools.release import FOR_OWNERS, read_releases, record_problems, release, sections

TODAY = "2026-11-24"
NOTES = f"### Added\n\n- Much.\n\n{FOR_OWNERS}\n\n- Nothing to do."
OLD_NOTES = "# Changelog\n\n## 1.9.0 - 2026-01-01\n\nOld.\n"
CHANGELOG = OLD_NOTES.replace(
    "## 1.9.0", f"## Unreleased\n\n## 1.10.0 - {TODAY}\n\n{NOTES}\n\n## 1.9.0"
)


def record(repository: Path, **releases: str) -> None:
    """Write and commit releases.json, for versions such as v1_2_0."""
    named = {name[1:].replace("_", "."): commit for name, commit in releases.items()}
    (repository / "releases.json").write_text(f"{json.dumps(named, indent=2)}\n", "utf-8")
    commit(repository, "Record releases")


def head(repository: Path) -> str:
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one release, that is ready for 1.10.0."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "CHANGELOG.md").write_text(OLD_NOTES, "utf-8")
    commit(tmp_path, "Old")
    record(tmp_path, v1_9_0=head(tmp_path))
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, "utf-8")
    commit(tmp_path, "Much")
    return tmp_path


# A release that is ready


def test_tag_has_the_notes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = head(repository)
    release(repository, "1.10.0", TODAY)

    assert git(repository, "cat-file", "-t", "v1.10.0") == "tag"
    message = git(repository, "for-each-ref", "--format=%(contents)", "refs/tags/v1.10.0")
    assert message == f"Release 1.10.0\n\n{NOTES}"
    assert git(repository, "rev-parse", "v1.10.0^{}") == expected
    assert "git push origin main v1.10.0\n" in capsys.readouterr().out


def test_release_is_recorded_in_the_next_commit(repository: Path) -> None:
    before = read_releases(repository)
    expected = head(repository)
    release(repository, "1.10.0", TODAY)

    assert read_releases(repository) == {**before, "1.10.0": expected}
    assert git(repository, "rev-parse", "HEAD^") == expected
    assert git(repository, "log", "-1", "--format=%s") == "Record release 1.10.0"
    assert git(repository, "show", "--format=", "--name-only") == "releases.json"
    assert git(repository, "status", "--porcelain") == ""
    assert record_problems(repository) == []


def test_first_release_needs_no_earlier_one(repository: Path) -> None:
    record(repository)
    (repository / "CHANGELOG.md").write_text(CHANGELOG.replace("1.10.0", "0.1.0"), "utf-8")
    commit(repository, "Notes")

    release(repository, "0.1.0", TODAY)

    assert git(repository, "tag") == "v0.1.0"
    assert [*read_releases(repository)] == ["0.1.0"]


# A release that is not ready


def assert_rejected(repository: Path, version: str, reason: str) -> None:
    before = head(repository), git(repository, "tag"), read_releases(repository)
    with pytest.raises(SystemExit, match=reason):
        release(repository, version, TODAY)
    assert (head(repository), git(repository, "tag"), read_releases(repository)) == before


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("v1.10.0", "not a version"),
        ("1.10", "not a version"),
        ("1.10.0rc1", "not a version"),
        ("1.9.0", "does not come after 1.9.0"),
        ("1.8.9", "does not come after 1.9.0"),
        ("1.11.0", "no section '## 1.11.0 - 2026-11-24'"),
    ],
)
def test_wrong_version_is_rejected(repository: Path, version: str, reason: str) -> None:
    assert_rejected(repository, version, reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("## Unreleased\n", "## Unreleased\n\n- More.\n", "text under Unreleased"),
        (TODAY, "2026-11-23", "no section"),
        (FOR_OWNERS, "### Fixed", "has no '### For services"),
    ],
)
def test_unfinished_changelog_is_rejected(
    repository: Path, old: str, new: str, reason: str
) -> None:
    (repository / "CHANGELOG.md").write_text(CHANGELOG.replace(old, new), "utf-8")
    commit(repository, "Edit")
    assert_rejected(repository, "1.10.0", reason)


def test_uncommitted_change_is_rejected(repository: Path) -> None:
    (repository / "new.txt").touch()
    assert_rejected(repository, "1.10.0", r"uncommitted changes:\n\?\? new.txt")


@pytest.mark.parametrize("arguments", [["--create", "other"], ["--detach"]], ids=["other", "none"])
def test_other_branch_is_rejected(repository: Path, arguments: list[str]) -> None:
    git(repository, "switch", "--quiet", *arguments)
    assert_rejected(repository, "1.10.0", "releases are made on main")


def test_existing_tag_is_rejected(repository: Path) -> None:
    git(repository, "tag", "v1.10.0")
    assert_rejected(repository, "1.10.0", r"there is a tag v1\.10\.0 already")


def test_second_release_of_a_version_is_rejected(repository: Path) -> None:
    release(repository, "1.10.0", TODAY)
    assert_rejected(repository, "1.10.0", r"does not come after 1\.10\.0")


def test_broken_record_is_rejected(repository: Path) -> None:
    record(repository, v1_9_0="f" * 40)
    assert_rejected(repository, "1.10.0", "the commit of 1.9.0 is not in the history")


# The record of releases


def test_records_of_the_template_are_correct() -> None:
    assert record_problems(ROOT) == []


def test_record_may_name_the_present_commit(repository: Path) -> None:
    """It does between the tag and the commit of the record."""
    releases = {**read_releases(repository), "1.10.0": head(repository)}
    (repository / "releases.json").write_text(json.dumps(releases), "utf-8")
    assert record_problems(repository) == []


def test_record_of_another_branch_is_a_problem(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "other")
    commit(repository, "Elsewhere")
    elsewhere = head(repository)
    git(repository, "switch", "--quiet", "main")
    record(repository, v1_10_0=elsewhere)
    assert record_problems(repository) == [
        "releases.json: the commit of 1.10.0 is not in the history"
    ]


def test_record_without_a_section_in_the_changelog_is_a_problem(repository: Path) -> None:
    record(repository, v1_11_0=head(repository))
    assert record_problems(repository) == [
        "releases.json: the commit of 1.11.0 has no section in CHANGELOG.md"
    ]


@pytest.mark.parametrize("releases", [{"v1_9": "f" * 40}, {"v1_9_0": "HEAD"}], ids=str)
def test_record_without_a_version_or_commit_is_a_problem(
    repository: Path, releases: dict[str, str]
) -> None:
    record(repository, **releases)
    assert len(record_problems(repository)) == 1
    assert "is not a version with a commit" in record_problems(repository)[0]


def test_records_in_another_order_are_a_problem(repository: Path) -> None:
    record(repository, v1_10_0=head(repository), v1_9_0=head(repository))
    assert record_problems(repository) == ["releases.json: the versions are not in order"]


def test_changelog_of_the_template_is_ready_for_a_release() -> None:
    """Every section says what it means for existing services, also while it is unreleased."""
    parts = sections((ROOT / "CHANGELOG.md").read_text("utf-8"))
    titles = list(parts)
    assert titles[0] == "Unreleased"
    for title, text in parts.items():
        assert not text or FOR_OWNERS in text, title
        assert title == "Unreleased" or re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title)
