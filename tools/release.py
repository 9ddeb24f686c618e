"""Tag a release, after checking that it is fit for one. It pushes nothing.

Versions are semantic, from the point of view of a service that takes the release with
`cruft update`: major, when its owner has to do something by hand; minor, when there is
something new; patch, when something was mended.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from dev import ROOT, clean_environment, fatal

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
BRANCH = "main"
FOR_OWNERS = "### For services that exist already"


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise fatal(f"git {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout.strip()


def sections(changelog: str) -> dict[str, str]:
    """The text below each second-level heading, by heading."""
    parts = re.split(r"^## (.+)$", changelog, flags=re.MULTILINE)[1:]
    return {
        title.strip(): text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def problems(
    version: str, *, tags: list[str], changelog: str, branch: str, changes: str, today: str
) -> list[str]:
    """Say what is not yet right for this release."""
    if not VERSION.fullmatch(version):
        return [f"{version!r} is no version such as 1.2.0"]
    found = []
    if branch != BRANCH:
        found.append(f"this is {branch or 'no branch'}, and releases are made on {BRANCH}")
    if changes:
        found.append(f"there is something that is not committed:\n{changes}")
    released = [tag.removeprefix("v") for tag in tags]
    newest = max(filter(VERSION.fullmatch, released), key=as_numbers, default="0.0.0")
    if as_numbers(version) <= as_numbers(newest):
        found.append(f"{version} does not come after {newest}")
    title = f"{version} - {today}"
    text = sections(changelog)
    if text.get("Unreleased"):
        found.append("CHANGELOG.md still has something under Unreleased")
    if title not in text:
        found.append(f"CHANGELOG.md has no section '## {title}'")
    elif FOR_OWNERS not in text[title]:
        found.append(f"that section of CHANGELOG.md has no '{FOR_OWNERS}'")
    return found


def as_numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def release(root: Path, version: str, today: str) -> None:
    tags = git(root, "tag", "--list", "v*").split()
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    branch = git(root, "branch", "--show-current")
    changes = git(root, "status", "--porcelain")
    found = problems(
        version, tags=tags, changelog=changelog, branch=branch, changes=changes, today=today
    )
    if found:
        raise fatal("no release:\n" + "\n".join(f"- {problem}" for problem in found))
    notes = sections(changelog)[f"{version} - {today}"]
    # "verbatim": headings begin with what is a comment to git.
    message = f"Release {version}\n\n{notes}\n"
    git(root, "tag", "--annotate", "--cleanup=verbatim", "--message", message, f"v{version}")
    print(f"Tagged v{version}. Publish it with: git push origin {BRANCH} v{version}")


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
