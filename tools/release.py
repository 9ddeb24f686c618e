"""Make a release: check that everything is ready, tag the commit and record it in releases.json.

The record is a commit of its own, because a commit can't contain its own hash. The tests update
services from every recorded release; tags alone may be missing in a clone. Nothing is pushed.

Versions are semantic, from the point of view of a service that takes the release with
`cruft update`: major if its owner has to do something by hand, minor for new features, patch for
fixes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from dev import ROOT, clean_environment, fatal

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCH = "main"
CHANGELOG = "CHANGELOG.md"
RELEASES = "releases.json"
FOR_OWNERS = "### For services that exist already"


def run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def git(root: Path, *arguments: str) -> str:
    done = run_git(root, *arguments)
    if done.returncode != 0:
        raise fatal(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def read_releases(root: Path) -> dict[str, str]:
    """Read the commits of all releases by version, the oldest first."""
    releases: dict[str, str] = json.loads((root / RELEASES).read_text(encoding="utf-8"))
    return releases


def sections(changelog: str) -> dict[str, str]:
    """Split a changelog into the texts of its second-level headings."""
    parts = re.split(r"^## (.+)$", changelog, flags=re.MULTILINE)[1:]
    return {
        title.strip(): text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def as_numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def record_problems(root: Path) -> list[str]:
    """Check that every recorded release is a documented commit of this branch."""
    releases = read_releases(root)
    found = []
    for version, commit in releases.items():
        if not VERSION.fullmatch(version) or not COMMIT.fullmatch(commit):
            found.append(f"{RELEASES}: {version!r}: {commit!r} is not a version with a commit")
        elif run_git(root, "merge-base", "--is-ancestor", commit, "HEAD").returncode != 0:
            found.append(f"{RELEASES}: the commit of {version} is not in the history")
        elif not re.search(
            rf"^## {re.escape(version)} - ",
            git(root, "show", f"{commit}:{CHANGELOG}"),
            re.MULTILINE,
        ):
            found.append(f"{RELEASES}: the commit of {version} has no section in {CHANGELOG}")
    if not found and [*releases] != sorted(releases, key=as_numbers):
        found.append(f"{RELEASES}: the versions are not in order")
    return found


def problems(root: Path, version: str, today: str) -> list[str]:
    """List what is missing for this release."""
    if not VERSION.fullmatch(version):
        return [f"{version!r} is not a version such as 1.2.0"]
    found = record_problems(root)
    if found:
        return found
    branch = git(root, "branch", "--show-current")
    if branch != BRANCH:
        found.append(f"releases are made on {BRANCH}, and this is {branch or 'no branch'}")
    changes = git(root, "status", "--porcelain")
    if changes:
        found.append(f"there are uncommitted changes:\n{changes}")
    newest = [*read_releases(root)][-1:] or ["0.0.0"]
    if as_numbers(version) <= as_numbers(newest[0]):
        found.append(f"{version} does not come after {newest[0]}")
    if git(root, "tag", "--list", f"v{version}"):
        found.append(f"there is a tag v{version} already")
    title = f"{version} - {today}"
    texts = sections((root / CHANGELOG).read_text(encoding="utf-8"))
    if texts.get("Unreleased"):
        found.append(f"{CHANGELOG} still has text under Unreleased")
    if title not in texts:
        found.append(f"{CHANGELOG} has no section '## {title}'")
    elif FOR_OWNERS not in texts[title]:
        found.append(f"that section of {CHANGELOG} has no '{FOR_OWNERS}'")
    return found


def release(root: Path, version: str, today: str) -> None:
    found = problems(root, version, today)
    if found:
        raise fatal("nothing was released:\n" + "\n".join(f"- {problem}" for problem in found))
    notes = sections((root / CHANGELOG).read_text(encoding="utf-8"))[f"{version} - {today}"]
    commit = git(root, "rev-parse", "HEAD")
    # "verbatim", because git takes Markdown headings for comments.
    message = f"Release {version}\n\n{notes}\n"
    git(root, "tag", "--annotate", "--cleanup=verbatim", "--message", message, f"v{version}")
    releases = {**read_releases(root), version: commit}
    (root / RELEASES).write_text(f"{json.dumps(releases, indent=2)}\n", encoding="utf-8")
    git(root, "commit", "--quiet", "--message", f"Record release {version}", RELEASES)
    print(f"Tagged v{version} and recorded it in {RELEASES}.")
    print(f"Publish it with: git push origin {BRANCH} v{version}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="such as 1.2.0")
    release(ROOT, parser.parse_args().version, f"{datetime.now(UTC):%Y-%m-%d}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
