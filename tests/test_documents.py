"""The documents of a generated service do what they say: blocks of code, commands, recipes.

Recipes and the parts that can be removed (docs/recipes.md, docs/trim.md) are applied to a service
that is really set up. The long run then passes `poe check` on each of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import BIN, ROOT
from tests import documents
from tests.conftest import DATABASES, Bake
from tools.running import running

SERVICE = ROOT / "{{cookiecutter.project_slug}}"
RECIPES = documents.read_sections(SERVICE / "docs/recipes.md", SERVICE)
PARTS = documents.read_sections(SERVICE / "docs/trim.md", SERVICE)

# Commands that stand in a sentence or a table, and why a test doesn't run them as they stand.
NOT_RUN = {
    ".venv/bin/poe check": "test_generated_service.py runs it",
    ".venv/bin/poe test": "a part of `poe check`",
    ".venv/bin/poe contract": "takes minutes; the long run has it",
    ".venv/bin/poe faults": "takes minutes; the long run has it",
    ".venv/bin/poe load": "takes half a minute; the long run has it",
    ".venv/bin/poe lock": "needs the package index",
    "poe lock --upgrade": "needs the package index",
    "pipx run cruft update": "test_updates.py runs `cruft update`",
    "python3 scripts/setup_environment.py": "each set-up runs it",
    "pip install --no-deps --require-hashes -r requirements.txt": "each set-up with pip runs it",
    ".venv/bin/python -m app.db.local_postgres": "runs until Ctrl-C; its own tests start it",
    "alembic merge heads": "needs two branches",
    "python -m app": "runs until Ctrl-C; the service's own tests start it",
    "uvicorn app.main:app": "runs until Ctrl-C; the service's own tests start it",
}
# What they read from standard input.
INPUT = "kv7 Mz2 qR9 tX4 wB6\n"


def environment(project: Path) -> dict[str, str]:
    """Put the programs of the service first, as an activated environment does."""
    scripts = project / ".venv" / BIN.name
    return {**os.environ, "PATH": os.pathsep.join([str(scripts), os.environ["PATH"]])}


def set_up(folder: Path, database: str) -> Path:
    command = ["-m", "cookiecutter", "--no-input", str(ROOT), "--output-dir", str(folder)]
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    subprocess.run(
        [sys.executable, *command, f"database={database}", "init_git=no"],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return folder / "my_service"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A new service with SQLite, which the test may change."""
    yield set_up(tmp_path, "sqlite")
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("database", DATABASES)
def test_code_blocks_are_what_they_say(bake: Bake, database: str) -> None:
    project = bake({"database": database})
    blocks = [
        block
        for document in documents.documents(project)
        for block in documents.read_blocks(document, project)
    ]
    assert len(blocks) > 20
    for block in blocks:
        documents.check(block)


@pytest.mark.parametrize("database", DATABASES)
def test_paths_and_tasks_in_documents_exist(bake: Bake, database: str) -> None:
    project = bake({"database": database})
    tasks = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["tool"]["poe"]["tasks"]
    for document in documents.documents(project):
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
        for path in re.findall(r"`((?:app|tests|docs|scripts|alembic)/[\w/.-]+\.\w+)`", text):
            created = {block.title for block in documents.read_blocks(document, project)}
            assert (project / path).exists() or path in created, f"{document.name}: {path}"
        for task in re.findall(r"\bpoe ([a-z-]+)", text):
            assert task in tasks, f"{document.name}: poe {task}"


def test_commands_of_the_documents_run(project: Path) -> None:
    """The blocks of the README, then each command that stands in a sentence or a table."""
    for block in documents.read_blocks(project / "README.md", project):
        if block.language == "sh" and "curl" not in block.text:
            for line in block.text.splitlines():
                if line.partition("#")[0].strip() not in NOT_RUN and "fastapi dev" not in line:
                    documents.run_shell(line, project, environment(project))
    for document in [*documents.documents(project), project / "alembic/README"]:
        for command in documents.inline_commands(document):
            if command not in NOT_RUN:
                script = f"printf '%s' {INPUT!r} | {command}"
                documents.run_shell(script, project, environment(project))


def test_curl_tour_of_the_readme(project: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    (tour,) = (
        block
        for block in documents.read_blocks(project / "README.md", project)
        if "curl" in block.text
    )
    with running(project, environment(project)) as server:
        script = tour.text.replace("http://127.0.0.1:8000", server.address)
        output = documents.run_shell(script, project, environment(project))
    answers = [json.loads(line) for line in re.findall(r"[\[{].*?[\]}](?=[\[{]|$)", output)]
    assert answers[0]["email"] == "ada@example.com"
    assert answers[-1]["status"] == 403
    example = json.loads(
        next(
            block.text
            for block in documents.read_blocks(project / "README.md", project)
            if block.language == "json"
        )
    )
    assert answers[-1] == {**example, "request_id": answers[-1]["request_id"]}


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_recipe_works(project: Path, recipe: documents.Section) -> None:
    follow(recipe, project)
    for command in ("ruff format .", "ruff check .", "mypy", "lint-imports --no-cache"):
        documents.run_shell(command, project, environment(project))
    new_tests = [block.title for block in recipe.blocks if (block.title or "").startswith("tests/")]
    selected = " ".join(filter(None, [*new_tests, "tests/db/test_migrations.py"]))
    documents.run_shell(f"pytest -q -n0 {selected}", project, environment(project))


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_checks_pass_after_a_recipe(project: Path, recipe: documents.Section) -> None:
    follow(recipe, project)
    documents.run_shell("ruff format . && poe check", project, environment(project))


@pytest.mark.nightly
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("part", PARTS, ids=[part.title for part in PARTS])
def test_checks_pass_without_a_part(tmp_path: Path, part: documents.Section, database: str) -> None:
    project = set_up(tmp_path, database)
    follow(part, project)
    documents.run_shell("ruff format . && poe check", project, environment(project))


def follow(section: documents.Section, project: Path) -> None:
    for block in section.blocks:
        if block.reason is None:
            documents.apply(block, project, environment(project))
