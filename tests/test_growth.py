"""A generated service grows as its owner's do, and still passes its checks.

tests/growth/*.md say in blocks of code what an owner adds (see tests/documents.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import ROOT
from tests import documents
from tests.conftest import DATABASES
from tests.test_documents import environment, set_up
from tools.running import remove_local_postgres

GROWTH = ROOT / "tests/growth"
# Of the service's own tests, those that look for rules that new code has to follow.
RULES = [
    "tests/api/test_access.py",
    "tests/api/test_rate_limited_routes.py",
    "tests/api/test_shop.py",
    "tests/crud/test_lists.py",
    "tests/db/test_migrations.py",
    "tests/http/test_openapi.py",
    "tests/test_transactions.py",
]


def grow(folder: Path, database: str) -> Path:
    """Set up a service, and add everything that the documents for this database say."""
    project = set_up(folder, database)
    for document in [GROWTH / "shop.md", GROWTH / f"{database}.md"]:
        if document.exists():
            for block in documents.read_blocks(document, GROWTH):
                documents.apply(block, project, environment(project))
    documents.run_shell("ruff format .", project, environment(project))
    return project


def test_grown_service_keeps_the_rules(tmp_path: Path) -> None:
    project = grow(tmp_path, "sqlite")
    for command in ("ruff check", "mypy", "poe layers", f"pytest -q -n0 {' '.join(RULES)}"):
        documents.run_shell(command, project, environment(project))


@pytest.mark.nightly
@pytest.mark.parametrize("database", DATABASES)
def test_grown_service_passes_its_checks(tmp_path: Path, database: str) -> None:
    project = grow(tmp_path, database)
    documents.run_shell("poe openapi", project, environment(project))
    documents.run_shell("poe check", project, environment(project))
    remove_local_postgres(project)
