"""The first commit of a service: what it holds, and when the hook skips it with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hooks.post_gen_project import make_first_commit
from tests.support import git

FILES = {".gitignore": ".env\n/var/\n", "README.md": "# Service\n", "app/main.py": "app = 1\n"}
IDENTITY = "[user]\nname = T\nemail = t@example.com\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "service"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, newline="\n")
    return root


@pytest.fixture
def gitconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own configuration of git, which is empty."""
    path = tmp_path / "gitconfig"
    path.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    return path


def test_commit_holds_all_files(project: Path) -> None:
    assert make_first_commit(str(project)) is None
    assert git(project, "rev-list", "--count", "--all") == "1"
    assert sorted(git(project, "ls-files").splitlines()) == sorted(FILES)
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--show-current") == "main"


def test_ignored_files_are_not_committed(project: Path) -> None:
    (project / ".env").write_text("SECRET_KEY=x\n")
    assert make_first_commit(str(project)) is None
    assert ".env" not in git(project, "ls-files").splitlines()


def test_configuration_of_the_user_changes_nothing(
    project: Path, gitconfig: Path, tmp_path: Path
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "prepare-commit-msg"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "excludes").write_text("*.md\n")
    gitconfig.write_text(
        f"{IDENTITY}[core]\nhooksPath = {hooks.as_posix()}\n"
        f"excludesFile = {(tmp_path / 'excludes').as_posix()}\n"
        f"[init]\ntemplateDir = {tmp_path.as_posix()}\ndefaultBranch = other\n"
        "[commit]\ngpgSign = true\ntemplate = /nowhere\n[gpg]\nprogram = /nowhere\n"
    )
    assert make_first_commit(str(project)) is None
    assert sorted(git(project, "ls-files").splitlines()) == sorted(FILES)
    assert git(project, "branch", "--show-current") == "main"
    assert not (project / ".git/hooks").exists()


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_line_endings_of_the_template_are_committed(
    project: Path, gitconfig: Path, autocrlf: str
) -> None:
    """By default, git fails: `fatal: LF would be replaced by CRLF`."""
    gitconfig.write_text(f"{IDENTITY}[core]\nautocrlf = {autocrlf}\nsafecrlf = true\n")
    assert make_first_commit(str(project)) is None
    assert git(project, "cat-file", "-s", "HEAD:README.md") == str(len(FILES["README.md"]))
    assert git(project, "status", "--porcelain") == ""


def test_identity_of_the_environment_is_used(
    project: Path, gitconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "T")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@example.com")
    assert make_first_commit(str(project)) is None
    assert git(project, "log", "--format=%an <%ae>") == "T <t@example.com>"


def test_empty_repository_is_used(project: Path) -> None:
    git(project, "init", "--quiet", "--initial-branch=trunk")
    assert make_first_commit(str(project)) is None
    assert git(project, "log", "--format=%D") == "HEAD -> trunk"


def test_variables_of_git_lead_to_no_other_repository(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of git sets them for all programs that it starts."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(other / ".git"))
        patch.setenv("GIT_WORK_TREE", str(other))
        patch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
        assert make_first_commit(str(project)) is None
    assert git(project, "rev-list", "--count", "--all") == "1"
    assert git(other, "rev-list", "--count", "--all") == "0"


# Skipped with a reason


def test_repository_with_commits_is_left_alone(project: Path) -> None:
    git(project, "init", "--quiet")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    assert make_first_commit(str(project)) == "this is a repository with commits already"
    assert git(project, "ls-files") == ""


def test_no_repository_is_made_inside_another(project: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    reason = make_first_commit(str(project))
    assert reason == f"the folder is inside another repository, {tmp_path.as_posix()}"
    assert not (project / ".git").exists()


def test_broken_repository_is_not_taken_for_the_one_around_it(
    project: Path, tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet")
    (project / ".git").mkdir()
    reason = make_first_commit(str(project))
    assert reason is not None
    assert reason.startswith("git says: fatal: not a git repository")
    assert git(tmp_path, "ls-files") == ""


def test_unknown_author_can_commit_later(
    project: Path, gitconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMAIL", "guess@example.com")  # git would make up a name for it
    reason = make_first_commit(str(project))
    assert reason == "git doesn't know you; set user.name and user.email, then run `git commit`"
    gitconfig.write_text(IDENTITY)
    git(project, "commit", "--message", "Mine")
    assert sorted(git(project, "ls-files").splitlines()) == sorted(FILES)


def test_missing_git_skips_the_commit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert make_first_commit(str(project)) == "git is not installed"


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for git")
def test_last_line_of_a_failing_git_is_the_reason(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "git"
    program.write_text(
        "#!/bin/sh\necho 'a warning\nxcrun: error: no developer tools' >&2; exit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert make_first_commit(str(project)) == "git says: xcrun: error: no developer tools"
