"""`poe resource` and `poe field` write code that passes the checks of a generated service."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from dev import BIN, ROOT
from tests import documents
from tests.conftest import DATABASES, VOCABULARIES
from tests.support import commit, contents, git
from tests.test_documents import SERVICE, environment, set_up
from tools.running import remove_local_postgres

COMMANDS = tomllib.loads((ROOT / "tests/resources.toml").read_text("utf-8"))
# Of the service's own tests, those of rules that new code has to follow, by layer.
RULES = [
    "tests/*/test_access.py",
    "tests/*/test_lists*.py",
    "tests/*/test_migrations.py",
    "tests/*/test_errors.py",
    "tests/http/test_openapi.py",
    "tests/test_transactions.py",
]
# Runs commands in one process, and reports the status and the output of each.
RUN = """
import contextlib, io, json, sys
from scripts.resource.__main__ import main
results = []
for command in json.loads(sys.argv[1]):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            status = main(command.split())
        except SystemExit as error:
            status = error.code
    results.append([status, output.getvalue()])
print(json.dumps(results))
"""


class Result(NamedTuple):
    status: int
    output: str


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service that no test changes for good."""
    project = set_up(tmp_path_factory.mktemp("service"), "sqlite")
    git(project, "init", "--quiet")
    commit(project, "Start")
    return project


@pytest.fixture
def project(service: Path) -> Path:
    """That service, as it was generated."""
    git(service, "reset", "--quiet", "--hard")
    git(service, "clean", "--quiet", "-d", "--force")
    return service


def run(project: Path, *commands: str) -> list[Result]:
    done = subprocess.run(
        [project / ".venv" / BIN.name / "python", "-c", RUN, json.dumps(commands)],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return [Result(*result) for result in json.loads(done.stdout)]


def make(project: Path, *commands: str) -> None:
    """Run commands that succeed, and commit what each of them writes."""
    for command in commands:
        (result,) = run(project, command)
        assert result.status == 0, result.output
        assert "Add to" not in result.output, result.output
        commit(project, command)


def sources(project: Path) -> dict[str, bytes]:
    ignored = re.compile(r"\.venv/|var/|__pycache__|\.\w+_cache/|\.env$")
    return {name: text for name, text in contents(project).items() if not ignored.search(name)}


# Input


WRONG = {
    "resource order": "required: field",
    "resource order total": "the type '' is unknown",
    "resource order total:money": "the types are str, text, int",
    "resource order total:decimal": "write total:decimal:10.2",
    "resource order total:decimal:10.20": "write the digits",
    "resource order total:decimal:20.2": "SQLite doesn't keep more",
    "resource order total:int:5": "write total:int",
    "resource order total:int:optional:optional": "given twice",
    "resource order number:str": "write number:str:40",
    "resource order number:str:0": "from 1 to 10000",
    "resource order number:str:optional:40": "write number:str:40",
    "resource order status:enum:draft": "several values",
    "resource order status:enum:a/b=c": "can't be the default",
    "resource order count:int=many": "can't be the default",
    "resource order total:decimal:10.2=1": "can't be the default",
    "resource order count:int:optional=1": "neither optional nor unique",
    "resource order notes:text:unique": "don't fit into an index",
    "resource order number:str:501:index": "don't fit into an index",
    "resource order paid:bool:unique": "can't be unique",
    "resource order count:int:optional:index": "sorted by",
    "resource order Number:int": "lower-case letters",
    "resource order class:int": "taken by Python",
    "resource order id:int": "taken by Python, Pydantic or the service",
    "resource order metadata:int": "taken by",
    "resource order copy:int": "taken by",
    "resource order model_name:int": "belong to Pydantic",
    f"resource order {'n' * 31}:int": "at most 30 characters",
    "resource order a:int a:str:40": "same name",
    "resource order customer:ref:customer": "there is no resource 'customer'; make it first",
    "resource order above:ref:order": "add :optional",
    "resource order tags:many:user:optional": "has no modifiers",
    "resource user_session name:str:40": "app/models/user_session.py exists already",
    "resource page name:str:40": "app/schemas/page.py exists already",
    "resource index name:str:40": "needs the name Index",
    "resource order a:int --plural order": "give one with --plural",
    "resource member a:int --plural users": "a table users already",
    "resource order a:int --parent customer": "there is no resource 'customer'",
    "resource order a:int --superuser --owner user": "leave out --owner",
    "resource order a:int --owner company": "invalid choice",
    "field order a:int:optional": "there is no resource 'order'",
    "field user a:int:optional": "accounts have their own rules",
}


def test_wrong_input_is_rejected_before_anything_is_written(project: Path) -> None:
    before = sources(project)
    for (command, message), result in zip(WRONG.items(), run(project, *WRONG), strict=True):
        assert result.status != 0, command
        assert message in result.output, f"{command}: {result.output}"
        assert "Traceback" not in result.output, result.output
    assert sources(project) == before


def test_uncommitted_changes_are_rejected(project: Path) -> None:
    for number in range(12):
        (project / f"notes{number:02}.txt").write_text("new")
    (result,) = run(project, "resource order a:int")
    assert result.status == 1
    assert "commit your changes first" in result.output
    assert "notes09.txt" in result.output
    assert "notes10.txt" not in result.output
    assert "and 2 more" in result.output


def examples() -> list[str]:
    """List the commands of the documents, as they are typed."""
    texts = [
        SERVICE / name
        for name in ("README.md", "DEVELOPERS.md", "docs/recipes.md", "pyproject.toml")
    ]
    found = [
        re.findall(r"\bpoe ((?:resource|field) [^`#\"\n]+)", path.read_text("utf-8"))
        for path in texts
    ]
    return sorted({command.strip() for commands in found for command in commands})


@pytest.mark.parametrize("shell", ["bash", "zsh", "pwsh"])
def test_examples_need_no_quotes(shell: str) -> None:
    commands = [*examples(), *COMMANDS["all"]]
    assert len(commands) > 20
    for command in commands:
        assert shlex.split(command) == command.split()
        # `=` and `/` are special at the beginning of a word, or after a blank, only.
        assert re.fullmatch(r"[a-z]+( [\w-][\w:/.=-]*)+", command), command
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    option = "-Command" if shell == "pwsh" else "-c"
    for command in commands:
        line = f"/bin/echo {command}" if shell != "pwsh" else f"& /bin/echo {command}"
        done = subprocess.run([shell, option, line], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == command


# Output


def test_dry_run_prints_what_the_command_writes(project: Path, tmp_path: Path) -> None:
    before = sources(project)
    (dry,) = run(project, "resource order number:str:40:unique --dry-run")
    assert dry.status == 0
    assert sources(project) == before
    (tmp_path / "patch").write_text(dry.output, encoding="utf-8")
    git(project, "apply", "--index", str(tmp_path / "patch"))
    patched = sources(project)
    git(project, "reset", "--quiet", "--hard")
    make(project, "resource order number:str:40:unique")
    written = sources(project)
    # Each run makes up the identifier and the time of its revision. The long changes of openapi.json
    # are only mentioned.
    assert "\nopenapi.json changes too.\n" in dry.output
    # Unused names are removed before lines are joined.
    assert re.search(r"^\+from sqlalchemy import ForeignKey, .*String", dry.output, re.MULTILINE)
    assert {name for name in patched if patched[name] != written[name]} == {
        "openapi.json",
        *(name for name in written if name.startswith("alembic/versions/") and name not in before),
    }
    assert "/api/v1/orders" in json.loads(written["openapi.json"])["paths"]
    git(project, "reset", "--quiet", "--hard", "HEAD~1")


def test_failure_leaves_nothing_half_written(project: Path) -> None:
    before = sources(project)
    blocker = project / "tests/factories"
    blocker.write_text("a file where a folder has to be")
    commit(project, "Block")
    with pytest.raises(subprocess.CalledProcessError):
        run(project, "resource order number:str:40:unique")
    blocker.unlink()
    assert sources(project) == before
    git(project, "reset", "--quiet", "--hard", "HEAD~1")


def test_lines_for_unknown_code_are_printed(project: Path) -> None:
    router = project / "app/api/v1/router.py"
    router.write_text(router.read_text("utf-8").replace("include_routers", "add_routes"))
    commit(project, "Change the router")
    (result,) = run(project, "resource order number:str:40")
    assert result.status == 0
    assert "Add to app/api/v1/router.py, to the imports and to include_routers()" in result.output
    assert "app.include_router(order.router, prefix=PREFIX)" in result.output
    assert "Then run `poe openapi`." in result.output
    assert "openapi.json" not in result.output
    git(project, "reset", "--quiet", "--hard", "HEAD~1")


def check(project: Path, *commands: str) -> None:
    for command in commands:
        documents.run_shell(command, project, environment(project))


def test_few_resources_pass_the_checks(project: Path) -> None:
    start = git(project, "rev-parse", "HEAD")
    make(project, *COMMANDS["few"])
    changed = git(project, "diff", "--name-only", start).splitlines()
    tests = [name for name in changed if "/test_" in name]
    coverage = "--cov=app --cov-report=json:var/coverage.json --cov-fail-under=0"
    check(
        project,
        "ruff format --check",
        "ruff check",
        "mypy",
        "poe layers",
        f"pytest -q -n2 {coverage} {' '.join([*tests, *RULES])}",
    )
    measured = json.loads((project / "var/coverage.json").read_text())["files"]
    new = git(project, "diff", "--name-only", "--diff-filter=A", start).splitlines()
    missing = {
        name: measured[name]["missing_lines"] + measured[name]["missing_branches"]
        for name in new
        if name in measured
    }
    assert not any(missing.values()), missing
    assert len(missing) > 15
    check(project, "poe migrate")
    check_sample_rows(project)
    check_shell(project)
    git(project, "reset", "--quiet", "--hard", start)


def check_sample_rows(project: Path) -> None:
    """`poe seed` stores rows once, and only for development."""
    seed = "python -m scripts.seed"
    first, second = (documents.run_shell(seed, project, environment(project)) for _ in range(2))
    assert re.findall(r"(\w+): (\d+) rows", first) == [
        ("article", "10"),
        ("comment", "10"),
        ("tag", "0"),  # comments need some
    ]
    assert re.findall(r"\d+ rows", second) == ["0 rows"] * 3
    deployed = {"ENVIRONMENT": "staging", "EMAIL_ENABLED": "false", "DATABASE_URL": "sqlite:///x"}
    with pytest.raises(AssertionError, match="not for a deployed service"):
        documents.run_shell(seed, project, environment(project) | deployed)


def check_shell(project: Path) -> None:
    """`await` works at the prompt, and a sandbox keeps nothing."""
    add = "session.add(Tag(name='new')); await session.commit()"
    count = "print('tags:', await session.scalar(select(func.count()).select_from(Tag)))"
    found = []
    for option in ("--sandbox", "--sandbox", ""):
        lines = shlex.quote(f"{'' if not option else add}\n1/0\n{count}\n")
        script = f"printf {lines} | python -m scripts.shell {option}"
        output = documents.run_shell(script, project, environment(project))
        assert "ZeroDivisionError" in output
        found += re.findall(r"tags: (\d+)", output)
    assert found == ["11", "11", "10"]


@pytest.mark.nightly
@pytest.mark.parametrize("database", DATABASES)
def test_all_resources_pass_the_checks(tmp_path: Path, database: str) -> None:
    project = set_up(tmp_path, database)
    make_all(project)
    check(project, "poe check")
    remove_local_postgres(project)


@pytest.mark.nightly
@pytest.mark.parametrize("names", VOCABULARIES[1:])
def test_all_resources_pass_the_checks_in_other_vocabularies(tmp_path: Path, names: str) -> None:
    project = set_up(tmp_path, "sqlite", f"layer_names={names}")
    make_all(project)
    start = git(project, "rev-list", "--max-parents=0", "HEAD")
    changed = git(project, "diff", "--name-only", start).splitlines()
    tests = " ".join(name for name in changed if "/test_" in name)
    rules = " ".join(RULES)
    check(
        project,
        "ruff format --check",
        "ruff check",
        "mypy",
        "poe layers",
        f"pytest -q {tests} {rules}",
    )


def make_all(project: Path) -> None:
    git(project, "init", "--quiet")
    commit(project, "Start")
    make(project, *COMMANDS["all"])
