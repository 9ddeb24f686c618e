"""The revisions in alembic/versions, read without Alembic."""

import ast
from functools import cache
from pathlib import Path

from app.core.config import ROOT

VERSIONS = ROOT / "alembic" / "versions"


@cache
def head_revision(folder: Path = VERSIONS) -> str | None:
    """Return the newest revision in *folder*: the one that this code was written for.

    It's None without revisions, and "a, b" if there are two newest ones, a and b.
    """
    # Alembic can tell too, but importing it would add 0.1 s to each start, and 10 MiB to each process.
    revisions: set[str] = set()
    parents: set[str] = set()
    for path in folder.glob("*.py"):
        for statement in ast.parse(path.read_bytes()).body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ) if name in {"revision", "down_revision"}:
                    found = ast.literal_eval(value)
                    names = [found] if isinstance(found, str) else found or ()
                    (revisions if name == "revision" else parents).update(names)
    return ", ".join(sorted(revisions - parents)) or None


def find_mismatch(revision: str | None) -> tuple[str, str] | None:
    """Return why this code can't use a database at *revision*, and the command that helps."""
    head = head_revision()
    if revision == head:
        return None
    command = "alembic merge heads" if head and "," in head else "alembic upgrade head"
    return f"the database is at revision {revision}, but this code needs {head}", command
