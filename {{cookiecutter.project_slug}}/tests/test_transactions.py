"""Only the request's dependency commits, so that a request is stored as a whole or not at all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import app
from app.core.config import ROOT

# Where sessions are opened.
MAY_COMMIT = {
    "app/db/postgresql.py",
    "app/db/session.py",
    "app/dependencies/get_db.py",
}


def find_commits(source: str, name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}:
            yield (
                f"{name}:{node.lineno} calls {node.attr}(), which would store or drop half of a "
                "request: leave it to SessionDep, use `async with session.begin_nested()` to catch "
                "an error, or outside of requests `async with database.session.begin()`"
            )


def test_no_service_or_query_commits() -> None:
    problems = [
        problem
        for path in sorted(Path(app.__path__[0]).rglob("*.py"))
        if (name := path.relative_to(ROOT).as_posix()) not in MAY_COMMIT
        for problem in find_commits(path.read_text("utf-8"), name)
    ]
    assert not problems, "\n".join(problems)


def test_commit_is_found() -> None:
    (problem,) = find_commits("async def f(session):\n    await session.commit()", "new.txt")
    assert problem.startswith("new.txt:2 calls commit()")
