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
from tools.running import remove_local_postgres, running

SERVICE = ROOT / "{{cookiecutter.project_slug}}"
RECIPES = documents.read_sections(SERVICE / "docs/recipes.md", SERVICE)
# A section without blocks says why there is nothing to delete.
PARTS = [part for part in documents.read_sections(SERVICE / "docs/trim.md", SERVICE) if part.blocks]
ASVS = next(part for part in PARTS if part.title == "ASVS table")

# Commands that no test here runs, and the reason. A command of a block counts without its comment.
NOT_RUN = {
    "docker compose up --build --wait": "needs a Docker engine; test_image.py does the same",
    ".venv/bin/poe": "lists the tasks, and fails because it got none",
    ".venv/bin/poe check": "test_generated_service.py runs it",
    "poe check": "test_generated_service.py runs it",
    ".venv/bin/poe test": "a part of `poe check`",
    ".venv/bin/poe migrations": "a part of `poe check`",
    "poe migrations": "a part of `poe check`",
    ".venv/bin/poe audit": "needs the package index",
    "poe audit": "needs the package index",
    ".venv/bin/poe contract": "takes minutes; the long run has it",
    ".venv/bin/poe faults": "takes minutes; the long run has it",
    ".venv/bin/poe load": "takes half a minute; the long run has it",
    "poe load": "takes half a minute; the long run has it",
    'poe revision "add orders"': "needs a changed model; the recipe for a resource runs it",
    'poe revision "add a status"': "the same; tests/test_growth.py has an enum",
    '.venv/bin/poe revision "add orders"': "needs a changed model; the same recipe runs it",
    ".venv/bin/poe resource": "needs a name; test_resource.py runs it",
    ".venv/bin/poe field": "needs a name; test_resource.py runs it",
    "poe resource": "needs a name; test_resource.py runs it",
    "poe field": "needs a name; test_resource.py runs it",
    ".venv/bin/poe shell": "waits for input; test_resource.py types some",
    ".venv/bin/poe shell --sandbox": "the same",
    "poe shell": "the same",
    ".venv/bin/poe lock": "needs the package index",
    "poe lock": "needs the package index",
    "poe lock --upgrade": "needs the package index",
    "pipx run cruft update": "test_updates.py runs `cruft update`",
    "python3 scripts/setup_environment.py": "each set-up runs it",
    "pip install --no-deps --require-hashes -r requirements.txt": "each set-up with pip runs it",
    ".venv/bin/python -m app.db.local_postgres": "runs until Ctrl-C; its own tests start it",
    ".venv/bin/alembic merge heads": "needs two branches",
    "alembic downgrade": "needs a revision; tests/db/test_migrations.py of the service has one",
    "python -m app.manage": "needs the name of a command",
    "python -m app.manage create-superuser": "needs an address",
    "python -m app.manage backup": "needs a file; tests/db/test_backup.py of the service has one",
    "python -m app.manage restore": "the same",
    "python -m app.manage backup FILE": "the same",
    "python -m app.manage restore FILE": "the same",
    "python -m app.manage reset-password": "needs an address",
    ".venv/bin/fastapi dev": "runs until Ctrl-C; test_servers.py of the service starts it",
    "fastapi dev": "runs until Ctrl-C; test_servers.py of the service starts it",
    "fastapi run": "runs until Ctrl-C; test_servers.py of the service starts it",
    "poe pin-images": "needs a registry of images",
    "poe serve": "runs until Ctrl-C",
    "uvicorn --root-path /shop": "names an option; tests with nginx use it",
    "uvicorn --workers": "names an option",
    "python -m app": "runs until Ctrl-C; test_servers.py of the service starts it",
    "uvicorn app.main:app": "runs until Ctrl-C; test_servers.py of the service starts it",
}
# Documents whose blocks other tests run: those below, and test_servers.py of the service.
RUN_ELSEWHERE = {"docs/recipes.md", "docs/trim.md", "docs/servers.md"}
# The standard input of commands: a password.
INPUT = "kv7 Mz2 qR9 tX4 wB6\n"


def environment(project: Path) -> dict[str, str]:
    """Put the programs of the service first, as an activated environment does."""
    scripts = project / ".venv" / BIN.name
    return {**os.environ, "PATH": os.pathsep.join([str(scripts), os.environ["PATH"]])}


def set_up(folder: Path, database: str, *answers: str) -> Path:
    command = ["-m", "cookiecutter", "--no-input", str(ROOT), "--output-dir", str(folder)]
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    subprocess.run(
        [sys.executable, *command, f"database={database}", "init_git=no", *answers],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return folder / "my_service"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service with SQLite that is set up once in each test process."""
    return set_up(tmp_path_factory.mktemp("service"), "sqlite")


@pytest.fixture
def project(service: Path, tmp_path: Path) -> Iterator[Path]:
    """That service. A test may change it: afterwards, it has the files that it had before."""
    stays = {".venv", ".mypy_cache"}
    shutil.copytree(service, tmp_path / "kept", ignore=shutil.ignore_patterns(*stays))
    yield service
    for path in service.iterdir():
        if path.is_dir() and path.name not in stays:
            shutil.rmtree(path)
    shutil.copytree(tmp_path / "kept", service, dirs_exist_ok=True)


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


def test_agents_guide_is_short_and_names_what_exists(bake: Bake) -> None:
    """The test above checks its paths and tasks."""
    project = bake({"database": "sqlite"})
    guide = (project / "AGENTS.md").read_text("utf-8")
    assert len(guide.splitlines()) <= 60
    kinds = {".py", ".env", ".toml"}
    sources = [path for path in project.rglob("*") if path.suffix in kinds]
    words = {word for path in sources for word in re.findall(r"\w+", path.read_text("utf-8"))}
    quoted = [
        code for code in re.findall(r"`([^`]+)`", guide) if "/" not in code and " " not in code
    ]
    for word in {word for code in quoted for word in re.findall(r"[A-Za-z_]{4,}", code)}:
        assert word in words, word
    for folder in re.findall(r"`((?:app|tests|scripts)/\w+)`", guide):
        assert (project / folder).is_dir(), folder


@pytest.mark.parametrize("database", DATABASES)
def test_commands_in_comments_and_messages_exist(bake: Bake, database: str) -> None:
    """Sources, settings and tools name commands too."""
    project = bake({"database": database})
    tasks = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["tool"]["poe"]["tasks"]
    manage = (project / "app/manage.py").read_text("utf-8")
    found = 0
    for path in sorted(project.rglob("*")):
        if path.suffix in {".py", ".env", ".ini", ".toml", ".mako", ".txt", ".html"}:
            text = path.read_text(encoding="utf-8")
            for task in re.findall(r"`(?:\.venv/bin/)?poe ([a-z-]+)[^`]*`", text):
                assert task in tasks, f"{path}: poe {task}"
            for module, argument in re.findall(r"`python -m (app[\w.]*) ?([a-z][a-z-]*)?", text):
                place = project / module.replace(".", "/")
                assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), path
                assert not argument or f'"{argument}"' in manage, f"{path}: {argument}"
                found += 1
            for script in re.findall(r"\b(?:python3 )?((?:scripts|app|tests)/\w+\.py)\b", text):
                assert (project / script).exists(), f"{path}: {script}"
    assert found > 10


def commands_of(project: Path) -> list[str]:
    """List each command of the documents that tests run as it stands."""
    found = []
    for document in [*documents.documents(project), project / "alembic/README"]:
        if document.relative_to(project).as_posix() not in RUN_ELSEWHERE:
            for block in documents.read_blocks(document, project):
                if block.language == "sh" and "curl" not in block.text and not block.reason:
                    found += [line.partition("  #")[0] for line in block.text.splitlines()]
        found += documents.commands(document)
    return [command for command in dict.fromkeys(map(str.strip, found)) if command not in NOT_RUN]


def test_commands_of_the_documents_run(project: Path, bake: Bake) -> None:
    """The guide to PostgreSQL has no other commands than the one to SQLite."""
    commands = commands_of(project)
    assert len(commands) > 15
    assert commands_of(bake({"database": "postgresql"})) == commands
    for command in commands:
        script = f"printf '%s' {INPUT!r} | {command}"
        documents.run_shell(script, project, environment(project))


def test_curl_tour_of_the_readme(project: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    blocks = documents.read_blocks(project / "README.md", project)
    (tour,) = [block.text for block in blocks if "curl" in block.text]
    (example,) = [json.loads(block.text) for block in blocks if block.language == "json"]
    with running(project, environment(project)) as server:
        script = tour.replace("http://127.0.0.1:8000", server.address)
        output = documents.run_shell(script, project, environment(project))
    answers, end = [], 0
    while end < len(output.rstrip()):
        answer, end = json.JSONDecoder().raw_decode(output, end)
        answers.append(answer)
    assert answers[0]["email"] == "ada@example.com"
    assert answers[-1] == {**example, "request_id": answers[-1]["request_id"]}


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_recipe_works(project: Path, recipe: documents.Section) -> None:
    follow(recipe, project)
    changed = [block.title for block in recipe.blocks if block.title]
    if changed:
        tests = [title for title in changed if title.startswith("tests/") and "test_" in title]
        selected = " ".join([*tests, "tests/db/test_migrations.py", "tests/core/test_config.py"])
        for command in ("ruff format --check", "ruff check", "mypy", f"pytest -q -n0 {selected}"):
            documents.run_shell(command, project, environment(project))


@pytest.mark.nightly
def test_checks_pass_after_all_recipes(project: Path) -> None:
    # The generator last: it writes into lines that other recipes change.
    for recipe in sorted(RECIPES, key=lambda recipe: "poe resource" in recipe.text):
        follow(recipe, project)
    # Each recipe alone needs no formatting. Together, they add imports below the same line.
    check(project, "poe format", "poe check")


@pytest.mark.parametrize("part", PARTS, ids=[part.title for part in PARTS])
def test_part_can_be_removed(project: Path, part: documents.Section) -> None:
    """The blocks apply, nothing refers to what is gone, and all modules can be imported."""
    follow_part(part, project)
    for command in ("ruff format --check -q", "ruff check -q", "pytest -q -n0 --collect-only"):
        documents.run_shell(command, project, environment(project))


@pytest.mark.parametrize("part", PARTS, ids=[part.title for part in PARTS])
def test_part_can_be_removed_with_postgresql(
    bake: Bake, tmp_path: Path, part: documents.Section
) -> None:
    project = tmp_path / "project"
    shutil.copytree(bake({"database": "postgresql"}), project)
    follow_part(part, project)
    documents.run_shell(f"{BIN / 'ruff'} format --check -q", project, environment(project))
    documents.run_shell(f"{BIN / 'ruff'} check -q", project, environment(project))


@pytest.mark.nightly
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("part", PARTS, ids=[part.title for part in PARTS])
def test_checks_pass_without_a_part(tmp_path: Path, part: documents.Section, database: str) -> None:
    """With PostgreSQL, without coverage and tests that start the service: they take longest."""
    project = set_up(tmp_path, database)
    follow_part(part, project)
    if database == "sqlite":
        check(project)
    else:
        check(project, "ruff format --check", "ruff check", "mypy", "poe layers", "poe test")
        remove_local_postgres(project)


def check(project: Path, *commands: str) -> None:
    """Run `poe check`, or other commands."""
    if (project / "openapi.json").exists():
        documents.run_shell("poe openapi", project, environment(project))
    for command in commands or ["poe check"]:
        documents.run_shell(command, project, environment(project))


def follow_part(part: documents.Section, project: Path) -> None:
    if part != ASVS:
        follow(ASVS, project)  # first, as the introduction says
    follow(part, project)


def follow(section: documents.Section, project: Path) -> None:
    for block in section.blocks:
        if block.reason is None:
            documents.apply(block, project, environment(project))
