"""The first commit of a new service, which holds no secret."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from checkout import Failed, Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from checkout import Checkout


def commit(checkout: Checkout) -> str:
    """Make the first commit; what a killed run leaves of it is not in the way."""
    if shutil.which("git") is None:
        raise Skipped("git is not installed")
    repository = checkout.root / ".git"
    if repository.exists():
        with contextlib.suppress(Failed):
            git(checkout, repository, "rev-parse", "--verify", "HEAD")
            raise Skipped("this is a repository with commits already")
        commit_to(checkout, repository)
        return ""
    try:
        outer = git(checkout, None, "rev-parse", "--show-toplevel").strip()
    except Failed as failure:
        if "not a git repository" not in str(failure):
            raise Skipped(f"git says: {failure}") from failure
    else:
        raise Skipped(f"this folder is inside another repository, {outer}")
    # Made elsewhere and moved when it is complete.
    draft = checkout.var / "repository.draft"
    checkout.discard(draft)
    try:
        git(checkout, draft, "init", "--quiet", "--template=")
        git(checkout, draft, "symbolic-ref", "HEAD", "refs/heads/main")
        commit_to(checkout, draft)
        draft.replace(repository)
    finally:
        checkout.discard(draft)
    return ""


def commit_to(checkout: Checkout, repository: Path) -> None:
    try:
        git(checkout, repository, "var", "GIT_AUTHOR_IDENT")
        git(checkout, repository, "var", "GIT_COMMITTER_IDENT")
    except Failed as failure:
        raise Skipped("git does not know who you are; set user.name and user.email") from failure
    refuse_secrets(checkout, repository)
    git(checkout, repository, "add", "--all")
    git(checkout, repository, "commit", "--quiet", "--no-verify", "-m", "Start from the template")


def refuse_secrets(checkout: Checkout, repository: Path) -> None:
    listed = git(
        checkout, repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard"
    )
    secrets = [value.encode() for value in checkout.secrets()]
    for name in filter(None, listed.split("\0")):
        if name == ".env" or name.startswith((".venv/", "var/")):
            raise Failed(f"git does not ignore {name}; nothing was committed")
        path = checkout.root / name
        content = path.read_bytes() if path.is_file() else b""
        if any(value in content for value in secrets):
            raise Failed(f"{name} holds a secret of .env; nothing was committed")


def git(checkout: Checkout, repository: Path | None, *arguments: str) -> str:
    """Run git without the caller's hooks, ignored files and signing: the result is the same."""
    settings = {
        "commit.gpgSign": "false",
        "core.excludesFile": "",
        "core.fsmonitor": "false",
        "core.hooksPath": os.devnull,
        "gc.auto": "0",
        "maintenance.auto": "false",
        "user.useConfigOnly": "true",
    }
    options = [word for name in settings for word in ("-c", f"{name}={settings[name]}")]
    environment = {"LC_ALL": "C"}  # its messages are looked at
    if repository is not None:
        environment.update(GIT_DIR=str(repository), GIT_WORK_TREE=str(checkout.root))
    return checkout.run("git", *options, *arguments, environment=environment)
