"""A copy of the project in which everything is tried, before the project itself changes."""

import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from scripts.resource.edit import NotFoundInSourceError
from scripts.resource.fields import UsageError

# The API's document, which a task writes.
OPENAPI = "openapi.json"
COPIED = (
    "app",
    "alembic",
    "tests",
    "scripts",
    "alembic.ini",
    "pyproject.toml",
    "README.md",
    OPENAPI,
)
MAX_SHOWN_CHANGES = 10
IGNORED = shutil.ignore_patterns("__pycache__", "var", ".*_cache")


class Workspace:
    """A copy of the project."""

    def __init__(self, project: Path, copy: Path) -> None:
        self.project = project
        self.root = copy
        self.notices: list[str] = []

    @classmethod
    def of(cls, project: Path, folder: Path) -> Self:
        for name in COPIED:
            if (project / name).is_dir():
                shutil.copytree(project / name, folder / name, ignore=IGNORED)
            elif (project / name).exists():
                shutil.copy(project / name, folder / name)
        return cls(project, folder)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def edit(self, path: Path, where: str, lines: str, change: Callable[[str], str]) -> None:
        """Change a file, or note which lines its owner has to add where."""
        try:
            self.write(path, change(path.read_text("utf-8")))
        except (NotFoundInSourceError, OSError, SyntaxError):
            name = path.relative_to(self.root).as_posix()
            self.notices.append(f"Add to {name}, {where}:\n\n{lines.rstrip()}\n")

    def changed(self) -> Iterator[tuple[Path, bytes | None, bytes]]:
        """Yield the files that differ from the project's: the path there, the old and the new bytes."""
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root)
            if path.is_file() and not {"__pycache__", ".ruff_cache"} & {*name.parts}:
                there = self.project / name
                old = there.read_bytes() if there.exists() else None
                if old != path.read_bytes():
                    yield there, old, path.read_bytes()

    def clean(self) -> None:
        """Remove unused imports, sort the others, format, check, and write the API's document."""
        files = {there.relative_to(self.project): old for there, old, _ in self.changed()}
        names = [str(name) for name in files if name.suffix == ".py"]
        new = [str(name) for name, old in files.items() if name.suffix == ".py" and old is None]
        self.run("ruff", "check", "--fix", "--select=F401", *names)
        self.run("ruff", "format", *new, "--config=format.skip-magic-trailing-comma=true")
        self.run("ruff", "check", "--fix", "--select=I", *names)
        self.run("ruff", "format", *names)
        self.run("ruff", "check", *names)
        if not (self.root / "scripts/openapi.py").exists():
            return
        if self.notices:  # the routes may not be there yet
            self.notices.append("Then run `poe openapi`.")
        else:
            self.run("scripts.openapi")

    def run(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UsageError(f"nothing was written: {(done.stderr + done.stdout).strip()}")

    def diff(self) -> str:
        """Return the changes, but not those of openapi.json, which are longer than all others."""
        parts: list[str] = []
        for there, old, new in self.changed():
            name = there.relative_to(self.project).as_posix()
            if name == OPENAPI:
                parts.append(f"{name} changes too.\n")
                continue
            before, after = (
                (text or b"").decode().splitlines(keepends=True) for text in (old, new)
            )
            source = f"a/{name}" if old is not None else "/dev/null"
            parts += difflib.unified_diff(before, after, source, f"b/{name}")
        return "".join(parts)

    def apply(self) -> list[Path]:
        """Write the changed files to the project: all of them, or none after a failure."""
        changes = [*self.changed()]
        written: list[tuple[Path, bytes | None]] = []
        try:
            for path, old, new in changes:
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append((path, old))
                path.write_bytes(new)
        except BaseException:
            for path, old in written:
                if old is not None:
                    path.write_bytes(old)
                else:
                    path.unlink(missing_ok=True)
            raise
        return [path for path, _, _ in changes]


def check_clean_checkout(project: Path) -> None:
    """Raise UsageError if git knows of changes here that are not committed."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(project), "status", "--porcelain", "."]
    try:
        status = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git, so there is no repository
        return
    if status.returncode == 0 and (changes := status.stdout.splitlines()):
        shown, others = changes[:MAX_SHOWN_CHANGES], len(changes) - MAX_SHOWN_CHANGES
        shown += [f"and {others} more"] if others > 0 else []
        raise UsageError(
            "commit your changes first, so that you can review or undo what this command writes:\n"
            + "\n".join(shown)
        )
