"""Programs that tests run, and repositories of the template to run them on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dev import ROOT


def run(*command: str, cwd: Path) -> str:
    """Run a command, not in a terminal; give its output, and fail with it."""
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def as_administrator(*command: str) -> None:
    """Run a command with the rights to mount disks, if whoever runs the tests has them."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, *command], check=True, capture_output=True)


def git(folder: Path, *arguments: str) -> str:
    return run("git", *arguments, cwd=folder).strip()


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def copy_checkout(repository: Path) -> None:
    """Replace the files of a repository by those of this checkout, committed or not."""
    for name in git(repository, "ls-files", "-z").split("\0")[:-1]:
        (repository / name).unlink()
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in listed.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder but git's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }
