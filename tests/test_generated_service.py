"""Generated services are set up, pass their own checks, start and answer.

Cookiecutter's command generates each service once. Its tests run in one process, in this order.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import logins, middleware, pages
from benchmarks.generated import INSIDE
from dev import BIN, ROOT
from tests import clients, nginx
from tests.clients import Node
from tests.conftest import AWKWARD, NOT_SET_UP, PAIRS, SCENARIOS, Answers
from tests.support import git, run
from tools.running import (
    browse,
    find_browser,
    program,
    remove_local_postgres,
    running,
    settings_of,
)

WITH_AWKWARD_TEXTS = pytest.param("sqlite-pip", marks=pytest.mark.nightly)
NIGHTLY = [pytest.param(name, marks=pytest.mark.nightly) for name in PAIRS]

# Long enough to download every package.
SETUP_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Service:
    answers: Answers
    project: Path
    env: dict[str, str]
    output: str
    seconds: float

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command in the project and return its output. Fails with the output."""
        done = subprocess.run(
            command,
            cwd=cwd or self.project,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",  # on Windows, Python up to 3.14 writes another encoding
            check=False,
            timeout=SETUP_TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def tool(self, name: str, *arguments: str) -> str:
        return self.run(program(self.project, name), *arguments)

    def settings(self) -> dict[str, str]:
        return settings_of(self.project)


def search_path(folder: Path, *, with_uv: bool) -> str:
    """Make a folder with the only programs that the set-up can find, and return a PATH."""
    folder.mkdir()
    folders = [str(folder)]
    for name in ["git", "uv"] if with_uv else ["git"]:
        found = shutil.which(name, path=os.pathsep.join([str(BIN), os.environ["PATH"]]))
        assert found, f"{name} is missing"
        if os.name != "nt":
            (folder / name).symlink_to(found)
        elif name == "uv":
            shutil.copy(found, folder)
        else:  # git needs the other files in its folder
            folders.append(str(Path(found).parent))
    return os.pathsep.join(folders)


@pytest.fixture(scope="session", params=SCENARIOS)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    answers = {**SCENARIOS, **PAIRS}[request.param]
    # In Alembic's settings, "%s" would be a placeholder.
    folder = tmp_path_factory.mktemp(request.param) / "100%s"
    folder.mkdir()
    env = {**os.environ, "PATH": search_path(folder / "bin", with_uv=bool(answers["uv"]))}
    command = [
        *(sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input"),
        *("--output-dir", str(folder)),
        *(f"{name}={value}" for name, value in answers.items() if name != "uv"),
    ]
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=SETUP_TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    yield Service(answers, folder / "my_service", env, done.stdout, time.monotonic() - start)
    remove_local_postgres(folder / "my_service")


def call(
    url: str, body: dict[str, str] | None = None, *, form: bool = False, token: str = ""
) -> tuple[int, Any]:
    data = None
    headers = {}
    if body is not None:
        data = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
        headers["Content-Type"] = (
            "application/x-www-form-urlencoded" if form else "application/json"
        )
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, json.load(answer)


def login(address: str, email: str, password: str) -> Any:
    form = {"username": email, "password": password}
    _, token = call(f"{address}/api/v1/auth/token", form, form=True)
    return call(f"{address}/api/v1/users/me", token=token["access_token"])[1]


def test_summary_shows_the_next_steps(service: Service) -> None:
    assert "The service is set up" in service.output
    assert f"cd {service.project}" in service.output
    assert f"{Path('.venv', BIN.name, 'fastapi')} dev" in service.output
    assert str(service.project / ".env") in service.output
    assert "Skipped" not in service.output
    assert service.output.isascii()


def test_set_up_leaves_no_server_of_the_database_running(service: Service) -> None:
    assert not (service.project / "var/postgres/cluster/data/postmaster.pid").exists()
    log = (service.project / "var/setup.log").read_text("utf-8")
    assert log.rstrip().endswith("(exit status 0)")  # not killed before it could close anything


def test_secrets_are_only_in_a_private_file(service: Service) -> None:
    settings = service.settings()

    if os.name != "nt":
        assert stat.S_IMODE((service.project / ".env").stat().st_mode) == 0o600
    for name in ("SECRET_KEY", "FIRST_SUPERUSER_PASSWORD"):
        assert len(settings[name]) >= 16
        assert settings[name] not in service.output


def test_first_commit_contains_everything_but_secrets(service: Service) -> None:
    assert service.run("git", "rev-list", "--count", "--all").strip() == "1"
    assert service.run("git", "status", "--porcelain") == ""
    files = service.run("git", "ls-files").splitlines()
    assert "app/main.py" in files
    assert not [name for name in files if re.match(r"\.env$|\.venv/|var/", name)]
    history = service.run("git", "log", "--patch", "--all")
    for name in ("SECRET_KEY", "FIRST_SUPERUSER_PASSWORD"):
        assert service.settings()[name] not in history


@pytest.mark.parametrize("answers", NOT_SET_UP.values(), ids=NOT_SET_UP)
def test_service_without_a_set_up_is_committed_and_clean(tmp_path: Path, answers: Answers) -> None:
    typed = [f"{name}={value}" for name, value in answers.items()]
    command = ["-m", "cookiecutter", "--no-input", str(ROOT), *typed]
    output = run(sys.executable, *command, cwd=tmp_path)

    project = tmp_path / "my_service"
    assert not {".env", ".venv"} & {path.name for path in project.iterdir()}
    assert str(project / "scripts/setup_environment.py") in output
    if answers["init_git"]:
        assert git(project, "rev-list", "--count", "--all") == "1"
        assert git(project, "status", "--porcelain") == ""
    else:
        assert not (project / ".git").exists()
    for command in (["check"], ["format", "--check"]):
        run(str(BIN / "ruff"), *command, "--no-cache", ".", cwd=project)


@pytest.mark.parametrize(
    "service", ["sqlite-uv", "postgresql-uv", WITH_AWKWARD_TEXTS, *NIGHTLY], indirect=True
)
def test_service_passes_its_own_checks(service: Service) -> None:
    service.tool("poe", "check")

    if service.answers.get("init_git", True):
        assert service.run("git", "status", "--porcelain") == ""
    else:
        assert not (service.project / ".git").exists()


@pytest.mark.parametrize("service", [*SCENARIOS, *NIGHTLY], indirect=True)
def test_service_starts_and_answers(service: Service) -> None:
    readme = (service.project / "README.md").read_text(encoding="utf-8")
    assert ".venv/bin/fastapi dev" in readme

    account = {"email": "ada@example.com", "password": "correct horse battery staple"}
    with running(service.project, service.env) as server:
        assert call(f"{server.address}/livez")[0] == 200
        assert call(f"{server.address}/readyz")[0] == 200
        with urllib.request.urlopen(f"{server.address}/docs", timeout=30) as answer:
            assert answer.headers.get_content_type() == "text/html"
            assert not re.search(rb"(src|href)=.https?://", answer.read())

        created, user = call(f"{server.address}/api/v1/users", account)
        assert created == 201
        assert user["email"] == account["email"]
        assert (
            login(server.address, account["email"], account["password"])["email"] == user["email"]
        )

        settings = service.settings()
        admin = login(
            server.address, settings["FIRST_SUPERUSER_EMAIL"], settings["FIRST_SUPERUSER_PASSWORD"]
        )
        assert admin["is_superuser"]


@pytest.mark.parametrize("service", ["sqlite-pip"], indirect=True)
def test_awkward_texts_arrive_intact(service: Service) -> None:
    name = str(AWKWARD["project_name"])
    with running(service.project, service.env) as server:
        info = call(f"{server.address}/openapi.json")[1]["info"]
        with urllib.request.urlopen(f"{server.address}/docs", timeout=30) as answer:
            page = answer.read().decode()

    assert info["title"] == name
    assert info["description"] == AWKWARD["project_description"]
    assert html.escape(name) in page
    assert "<script>alert" not in page
    readme = (service.project / "README.md").read_text(encoding="utf-8")
    assert readme.splitlines()[0] == f"# {name}"


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_benchmarks_measure_the_service(service: Service) -> None:
    (round_,) = logins.measure(service.project, 5, 1)
    assert round_.logins == {200: 5}
    assert round_.probes.keys() == {200}

    assert [times.pages for times in pages.measure(service.project, 500)] == [6] * 4

    ((without, with_all),) = middleware.measure(service.project, 1, 20)
    # So few requests can't show which is smaller.
    assert without > 0
    assert with_all > 0


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_benchmarks_inside_the_service_have_correct_types(service: Service) -> None:
    service.tool("mypy", *map(str, INSIDE.glob("*.py")))


def test_docs_work_in_a_browser_without_internet(service: Service) -> None:
    if find_browser() is None:
        pytest.skip("there is no Chromium")
    with running(service.project, service.env) as server:
        page = browse(
            # The browser can reach no other host.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--dump-dom",
            f"{server.address}/docs",
        )

    assert "opblock" in page
    assert "<script>alert" not in page
    assert "/api/v1/users/me" in page


def test_migrations_go_down_and_up(service: Service) -> None:
    service.tool("alembic", "downgrade", "base")
    service.tool("alembic", "upgrade", "head")
    service.tool("alembic", "check")
    tools = tomllib.loads((service.project / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    for _ in range(2):
        service.tool("python", "-m", f"app.{tools['layers']['database']}.init_db")

    with running(service.project, service.env) as server:
        settings = service.settings()
        assert login(
            server.address, settings["FIRST_SUPERUSER_EMAIL"], settings["FIRST_SUPERUSER_PASSWORD"]
        )["is_superuser"]


def test_second_set_up_changes_nothing(service: Service) -> None:
    before = (service.project / ".env").read_bytes()
    python = (service.project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns

    service.run(sys.executable, "scripts/setup_environment.py")

    assert (service.project / ".env").read_bytes() == before
    assert (service.project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == python
    assert service.run("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_service_works_behind_nginx(service: Service, tmp_path: Path) -> None:
    """nginx serves it under a path, which it strips or not, through a port or a Unix socket."""
    nginx.check(service.project, service.env, tmp_path)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return clients.install(tmp_path_factory.mktemp("node"))


@pytest.fixture
def document(service: Service, node: Node) -> Path:
    """The OpenAPI document of the service, in the folder of the node packages."""
    path = node.folder / "openapi.json"
    script = "import json; from app.main import app; print(json.dumps(app.openapi()))"
    path.write_text(service.tool("python", "-c", script).splitlines()[-1], encoding="utf-8")
    return path


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_linters_accept_the_document(service: Service, node: Node, document: Path) -> None:
    assert "You have" not in node.run("redocly", "lint", str(document))  # warnings
    spectral = ["spectral", "lint", "--fail-severity=hint", str(document)]
    assert "No results" in node.run(*spectral)


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_typescript_client_signs_in(service: Service, node: Node, document: Path) -> None:
    node.run("openapi-typescript", str(document), "--output", "schema.ts")
    node.run("tsc", "--project", ".")
    with running(service.project, service.env) as server:
        node.run("node", "client.js", server.address)


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_python_client_signs_in(service: Service, document: Path, tmp_path: Path) -> None:
    clients.generate_python(document, tmp_path)
    with running(service.project, service.env) as server:
        run(sys.executable, "client.py", server.address, cwd=tmp_path)


@pytest.mark.parametrize("service", ["sqlite-uv"], indirect=True)
def test_clone_gets_its_own_secrets(service: Service, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    service.run("git", "clone", "--quiet", str(service.project), str(clone))

    service.run(sys.executable, "scripts/setup_environment.py", cwd=clone)

    ours, theirs = service.settings(), settings_of(clone)
    assert ours.keys() == theirs.keys()
    for name in ("SECRET_KEY", "FIRST_SUPERUSER_PASSWORD"):
        assert ours[name] != theirs[name]
    with running(clone, service.env):
        pass
