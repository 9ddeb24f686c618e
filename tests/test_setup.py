"""The set-up that every generated service ships, run for real on a tiny service.

Python, uv, pip, git and the signals are the real ones. The service and its packages are toys,
and a package index on this machine serves them, so that it can also be down, slow or lying.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import importlib
import io
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jinja2 import Environment

from dev import TEMPLATE
from tests.support import as_administrator

SCRIPTS = TEMPLATE / "scripts"
# The oldest and the newest tools that a developer may have are those of this environment.
UV = shutil.which(
    "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
)
GIT = shutil.which("git")
BASH = shutil.which("bash")

posix = pytest.mark.skipif(os.name == "nt", reason="signals and modes are those of POSIX")

# Each toy does at `$TOY_<NAME>` what the real one does when something goes wrong.
BEHAVE = """
import os, pathlib, sys, time
def behave(name):
    how = os.environ.get("TOY_" + name)
    if how == "hang":
        pathlib.Path(os.environ["TOY_MARK"]).write_text(str(os.getpid()))
        time.sleep(60)
    elif how == "fill":  # ends with an error of the system: no space left
        with open(os.environ["TOY_FILLER"], "wb") as filler:
            while filler.write(bytes(2**12)):
                filler.flush()
    elif how:
        sys.exit(how)
    foreign = [name for name in os.environ if name in os.environ.get("TOY_FOREIGN", "").split()]
    assert not foreign, foreign
    print("password of", name, "is", os.environ.get("TOY_LEAK", "secret"))
"""
ALEMBIC = """
import pathlib, sys
from toybox import behave
assert sys.argv[1:] == ["upgrade", "head"], sys.argv
behave("ALEMBIC")
database = pathlib.Path("var/app.db")
database.exists() or database.touch()
"""
UVICORN = """
import http.server, json, pathlib, os, sys
from toybox import behave
import app.main
behave("UVICORN")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path == "/readyz" and pathlib.Path("var/superuser").exists()
        self.send_response(int(os.environ.get("TOY_STATUS", 200 if ready else 503)))
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
INIT_DB = """
import json, os, pathlib
from toybox import behave
behave("INIT_DB")
assert pathlib.Path("var/app.db").exists(), "not migrated"
superuser = pathlib.Path("var/superuser")
superuser.exists() or superuser.touch()
"""
PACKAGES = {
    "toybox": {"toybox.py": BEHAVE},
    "alembic": {"alembic/__init__.py": "", "alembic/__main__.py": ALEMBIC},
    "uvicorn": {"uvicorn/__init__.py": "", "uvicorn/__main__.py": UVICORN},
}
# A program that hangs when its arguments have a word, and else is the real one.
WRAPPER = """#!{python}
import os, pathlib, sys, time
if "{word}" in sys.argv and os.environ.get("TOY_{name}") == "hang":
    for path in filter(None, [os.environ.get("TOY_LEAVES")]):
        pathlib.Path(path).mkdir(parents=True)
    pathlib.Path(os.environ["TOY_MARK"]).write_text(str(os.getpid()))
    time.sleep(60)
if "{word}" in sys.argv and os.environ.get("TOY_{name}") == "fill":
    try:
        with open(os.environ["TOY_FILLER"], "wb", buffering=0) as filler:
            while filler.write(bytes(2**12)):
                pass
    except OSError:
        pass  # the real one shall tell
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""


REQUIRES = {"uvicorn": "Requires-Dist: alembic[extra] >=1.0\n"}


def make_wheel(name: str, files: dict[str, str], version: str = "1.0") -> bytes:
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        "Provides-Extra: extra\n" + REQUIRES.get(name, ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = []
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        for path, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            record.append(f"{path},sha256={digest.decode()},{len(text.encode())}\n")
            wheel.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
        record.append(f"{info}/RECORD,,\n")
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD", (2026, 1, 1, 0, 0, 0)), "".join(record))
    return content.getvalue()


# It was released after the pins were made, and what needs it with an extra comes later in the list.
NEWER = make_wheel("alembic", {"alembic/__init__.py": ""}, "1.1")
WHEELS = {name: make_wheel(name, files) for name, files in PACKAGES.items()}
FORGED = {name: make_wheel(name, {f"{name}.py": "forged = True\n"}) for name in PACKAGES}


def fill_up(filler: Path) -> None:
    """Leave no room on the disk that the file is on."""
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(2**12)):
            pass


@dataclass
class Index:
    """A package index, and what is wrong with it."""

    address: str = ""
    trouble: str = ""
    filler: Path | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.set()
        if self.trouble == "hang":
            self.released.wait(60)
        if self.trouble == "503":
            return 503, b"out of order"
        _, kind, name, *_ = [*path.split("/"), "", ""]
        wheels = FORGED if self.trouble == "forged" else WHEELS
        if kind == "simple" and name in wheels:
            file = f"{name}-1.0-py3-none-any.whl"
            files = [file, *(["alembic-1.1-py3-none-any.whl"] if name == "alembic" else [])]
            links = [f'<a href="/files/{name}/{file}">{file}</a>' for file in files]
            return 200, "\n".join(links).encode()
        if kind == "files" and name in wheels:
            if self.filler:
                fill_up(self.filler)
            return 200, NEWER if "alembic-1.1-" in path else wheels[name]
        return 404, b""


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = index.answer(self.path)
            with contextlib.suppress(OSError):  # who asked may have been killed
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is given

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.address = f"http://127.0.0.1:{server.server_port}/simple/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield index
    index.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Service:
    """A toy service in a folder, and the environment in which it is set up."""

    root: Path
    index: Index
    env: dict[str, str]

    @property
    def script(self) -> Path:
        return self.root / "scripts" / "setup_environment.py"

    def set_up(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, str(self.script), *arguments], **env)

    def run(self, command: str | Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run it in a terminal's stead, from another folder."""
        if isinstance(command, str) and os.name != "nt":
            command = [str(BASH), "-c", command]
        result = subprocess.run(
            command,
            cwd=self.root.anchor,
            env={**self.env, **env},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in result.stdout + result.stderr, result.stdout + result.stderr
        return result

    def resume(self, output: str, **env: str) -> None:
        """Run the one command that the output names, and expect it to finish the work."""
        command = command_in(output)
        result = self.run(command, **env)
        assert result.returncode == 0, result.stdout
        self.check_complete()

    def check_complete(self) -> None:
        assert (self.root / "var/superuser").exists()
        assert not (self.root / ".venv/unfinished-setup").exists()
        leftovers = [path.name for path in (self.root / "var").iterdir()]
        assert sorted(leftovers) == ["app.db", "setup.log", "superuser"]

    def settings(self) -> dict[str, str]:
        lines = (self.root / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")

    def git(self, *arguments: str) -> str:
        assert GIT is not None
        command = [GIT, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, encoding="utf-8", check=True
        ).stdout

    def snapshot(self) -> dict[str, tuple[int, str]]:
        """Everything but the log, which tells of the last run, and what Python compiles."""
        return {
            str(path.relative_to(self.root)): (
                path.stat().st_mtime_ns,
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            )
            for path in sorted(self.root.rglob("*"))
            if path.name not in {"setup.log", "var", "__pycache__"} and path.suffix != ".pyc"
        }


def command_in(output: str) -> str:
    _, found, rest = output.partition("with this command:\n\n    ")
    assert found, output
    return rest.partition("\n")[0]


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("caches")
    return {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}


def write_program(path: Path, real: str, word: str, name: str) -> None:
    path.write_text(WRAPPER.format(python=sys.executable, real=real, word=word, name=name))
    path.chmod(0o755)


@pytest.fixture
def service(tmp_path: Path, index: Index, caches: dict[str, str]) -> Service:
    """A toy service that can be set up with uv and git."""
    root = tmp_path / "it's a 'sérvice' 100%s"
    shutil.copytree(SCRIPTS, root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in {
        ".gitignore": ".env\n/.venv/\n/var/\n__pycache__/\n",
        "example.env": (
            "# Keep me.\nENVIRONMENT=development\nSECRET_KEY=\n# DATABASE_URL=\n"
            "FIRST_SUPERUSER_EMAIL=a@example.com\nFIRST_SUPERUSER_PASSWORD=\n"
        ),
        "app/__init__.py": "",
        "app/main.py": "",
        "app/db/__init__.py": "",
        "app/db/init_db.py": INIT_DB,
        "requirements.txt": requirements("alembic", "uvicorn"),
        "requirements-dev.txt": requirements("toybox"),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    programs = tmp_path / "programs"
    programs.mkdir()
    assert UV is not None
    assert GIT is not None
    if os.name == "nt":
        shutil.copy(UV, programs)
        programs_and_git = os.pathsep.join([str(programs), str(Path(GIT).parent)])
    else:
        write_program(programs / "uv", UV, "venv", "UV")
        write_program(programs / "git", GIT, "commit", "GIT")
        programs_and_git = str(programs)
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_", "PYTHON", "TOY_"))
    }
    env |= {
        **caches,
        "PATH": programs_and_git,
        # Python up to 3.14 on Windows writes another encoding into a pipe.
        "PYTHONIOENCODING": "utf-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.address,
        "PIP_RETRIES": "0",
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": index.address,
        "UV_HTTP_RETRIES": "0",
        "TOY_MARK": str(tmp_path / "mark"),
    }
    return Service(root, index, env)


@pytest.fixture
def pip_only(service: Service) -> Service:
    programs = Path(service.env["PATH"].split(os.pathsep)[0])
    for program in programs.glob("uv*"):
        program.unlink()
    return service


def requirements(*names: str) -> str:
    hashes = {name: hashlib.sha256(WHEELS[name]).hexdigest() for name in names}
    return "".join(f"{name}==1.0 --hash=sha256:{digest}\n" for name, digest in hashes.items())


@pytest.fixture(scope="session")
def setup() -> Iterator[ModuleType]:
    """The modules of the template's scripts folder, without a trace of this in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("setup_environment")
        for name in ("setup_environment", "first_commit", "checkout"):
            sys.modules.pop(name, None)


@pytest.fixture
def checkout(setup: ModuleType) -> ModuleType:
    return sys.modules["checkout"]


# --- the whole way ---------------------------------------------------------------------------


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_sets_up_everything(
    service: Service, installer: str, request: pytest.FixtureRequest
) -> None:
    if installer == "pip":
        request.getfixturevalue("pip_only")
    result = service.set_up("--init-git")
    assert result.returncode == 0, result.stdout
    service.check_complete()
    lines = result.stdout.splitlines()
    assert [line[:5] for line in lines[:7]] == [f"[{number}/7]" for number in range(1, 8)]
    assert lines[2].startswith(f"[3/7] Installing packages with {installer} ... ")
    assert all(" s" in line.partition(" ... ")[2] for line in lines[:7])
    assert "The service is set up" in result.stdout
    quote = subprocess.list2cmdline if os.name == "nt" else shlex.join
    assert f"cd {quote([str(service.root)])}" in result.stdout
    assert str(service.root / ".env") in result.stdout
    assert "with this command" not in result.stdout
    assert service.git("rev-list", "--count", "--all").strip() == "1"
    assert service.git("branch", "--show-current").strip() == "main"
    assert service.git("status", "--porcelain") == ""


def test_env_file_is_the_example_with_secrets(service: Service) -> None:
    old_mask = os.umask(0)
    try:
        service.set_up("--skip", "venv", "install", "migrate", "superuser", "prove")
    finally:
        os.umask(old_mask)
    settings = service.settings()
    key, password = settings.pop("SECRET_KEY"), settings.pop("FIRST_SUPERUSER_PASSWORD")
    assert len(key) >= 64
    assert len(password) >= 24
    assert settings == {"ENVIRONMENT": "development", "FIRST_SUPERUSER_EMAIL": "a@example.com"}
    text = (service.root / ".env").read_text()
    blanked = text.replace(f"SECRET_KEY={key}", "SECRET_KEY=").replace(password, "")
    assert blanked == (service.root / "example.env").read_text()
    if os.name != "nt":
        assert (service.root / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_env_file_keeps_line_endings(
    setup: ModuleType, checkout: ModuleType, tmp_path: Path, newline: str
) -> None:
    example = newline.join(["A=1", "SECRET_KEY=", "FIRST_SUPERUSER_PASSWORD= ", "B=2", ""])
    (tmp_path / "example.env").write_bytes(example.encode())
    setup.write_env(checkout.Checkout(tmp_path))
    text = (tmp_path / ".env").read_bytes().decode()
    assert text.count(newline) == text.count("\n") == 4
    assert text.startswith(f"A=1{newline}SECRET_KEY=")
    assert text.endswith(f"{newline}B=2{newline}")


def test_env_file_is_private_from_its_beginning(
    setup: ModuleType, checkout: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "example.env").write_text("SECRET_KEY=\nFIRST_SUPERUSER_PASSWORD=\n")
    flags_and_modes = []

    def spy(path: Path, flags: int, mode: int) -> int:
        flags_and_modes.append((bool(flags & os.O_EXCL), mode))
        return real_open(path, flags, mode)

    real_open = os.open
    monkeypatch.setattr(os, "open", spy)
    setup.write_env(checkout.Checkout(tmp_path))
    assert flags_and_modes == [(True, 0o600)]


def test_an_example_without_the_secrets_is_an_error(
    setup: ModuleType, checkout: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "example.env").write_text("SECRET_KEY=changeme\nFIRST_SUPERUSER_PASSWORD=\n")
    with pytest.raises(checkout.Failed, match="SECRET_KEY"):
        setup.write_env(checkout.Checkout(tmp_path))
    assert not (tmp_path / ".env").exists()


def test_setting_up_twice_changes_nothing(service: Service) -> None:
    assert service.set_up("--init-git").returncode == 0
    before = service.snapshot()
    service.index.trouble = "503"  # nothing is asked for
    result = service.set_up("--init-git")
    assert result.returncode == 0, result.stdout
    assert service.snapshot() == before
    assert result.stdout.count("(kept: ") == 3
    assert "commits already" in result.stdout


def test_new_requirements_are_installed(service: Service) -> None:
    (service.root / "requirements-dev.txt").write_text("")
    assert service.set_up("--skip", "migrate", "superuser", "prove").returncode == 0
    (service.root / "requirements-dev.txt").write_text(requirements("toybox"))
    venv = (service.root / ".venv").stat().st_ino
    assert service.set_up().returncode == 0
    assert (service.root / ".venv").stat().st_ino == venv


@posix
def test_works_with_a_strict_umask(service: Service) -> None:
    old_mask = os.umask(0o077)
    try:
        result = service.set_up("--init-git")
    finally:
        os.umask(old_mask)
    assert result.returncode == 0, result.stdout
    service.check_complete()


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_output_is_plain(service: Service, locale: str) -> None:
    """Not a terminal, no locale: no colours, and nothing but the path is beyond ASCII."""
    if os.name != "nt":
        del service.env["PYTHONIOENCODING"]  # there, the locale decides
    result = service.set_up(LC_ALL=locale, FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert result.returncode == 0, result.stdout
    assert result.stdout.replace("\N{LATIN SMALL LETTER E WITH ACUTE}", "").isascii()
    assert "\x1b" not in result.stdout + (service.root / "var/setup.log").read_text("utf-8")


@posix
def test_goes_on_when_nobody_reads(service: Service) -> None:
    with subprocess.Popen(
        [sys.executable, service.script], env=service.env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
    service.check_complete()


# --- the caller's environment ------------------------------------------------------------------


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_nothing_of_the_callers_environment_gets_in(
    service: Service, tmp_path: Path, installer: str, request: pytest.FixtureRequest
) -> None:
    if installer == "pip":
        request.getfixturevalue("pip_only")
    for name, text in {
        "pyproject.toml": "[tool.uv.workspace]\nmembers = ['*']\n[tool.uv]\nno-index = true\n",
        "uv.toml": "required-version = '==0.0.1'\n",
        "pip.conf": "[install]\nuser = true\n",
    }.items():
        (tmp_path / name).write_text(text)
    del service.env["UV_NO_CONFIG"]
    elsewhere = str(tmp_path / "elsewhere")
    foreign = {
        "VIRTUAL_ENV": elsewhere,
        "PYTHONPATH": elsewhere,
        # Where this Python is at home. Another place would end the script before its first line.
        "PYTHONHOME": sys.base_prefix,
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "error",
        "PIP_TARGET": elsewhere,
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_DRY_RUN": "1",
        "UV_PROJECT_ENVIRONMENT": elsewhere,
        "UV_PYTHON": "3.1",
        "UV_SYSTEM_PYTHON": "1",
        "UVICORN_PORT": "1",
        "GIT_DIR": elsewhere,
        "DATABASE_URL": "postgresql://other:project@db/x",
    }
    result = service.set_up(
        **foreign,
        PIP_USER="1",
        PIP_CONFIG_FILE=str(tmp_path / "pip.conf"),
        secret_key="too short",
        TOY_FOREIGN=" ".join(foreign),
    )
    assert result.returncode == 0, result.stdout
    service.check_complete()
    assert not Path(elsewhere).exists()
    name = "SECRET_KEY" if os.name == "nt" else "secret_key"  # Windows knows no lowercase ones
    assert f"your shell sets DATABASE_URL, {name}" in result.stdout
    assert "too short" not in result.stdout


def test_home_of_another_python_is_not_passed_on(checkout: ModuleType, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))
        project = checkout.Checkout(tmp_path)
    assert project.run(sys.executable, "-c", "print('started')").strip() == "started"


def test_clean_environment_keeps_what_reaches_the_index(checkout: ModuleType) -> None:
    kept = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
        "SSL_CERT_FILE": "/ca.pem",
        "PIP_INDEX_URL": "https://index",
        "PIP_CERT": "/ca.pem",
        "UV_DEFAULT_INDEX": "https://index",
        "UV_INDEX_COMPANY_PASSWORD": "x",
        "UV_CACHE_DIR": "/cache",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_CONFIG_GLOBAL": "/gitconfig",
        "PGHOST": "db",
    }
    dropped = dict.fromkeys(
        [
            *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__"),
            *("PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "UV_PROJECT", "UV_PYTHON"),
            *("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "ALEMBIC_CONFIG", "WEB_CONCURRENCY"),
            *("PYTHONHOME", "UVICORN_PORT", "UVICORN_HOST"),
            *("SECRET_KEY", "database_url"),
        ],
        "x",
    )
    cleaned = checkout.clean_environment({**kept, **dropped}, ["SECRET_KEY", "database_url"])
    assert {name: cleaned[name] for name in kept} == kept
    assert not set(dropped) & set(cleaned)


# --- what goes wrong ---------------------------------------------------------------------------


def break_off(index: Index, service: Service) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    service.env["PIP_INDEX_URL"] = service.env["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{port}/"


def hang(index: Index, service: Service) -> None:
    index.trouble = "hang"
    service.env |= {"PIP_DEFAULT_TIMEOUT": "1", "UV_HTTP_TIMEOUT": "1"}


TROUBLES: dict[str, tuple[Callable[[Index, Service], object], str]] = {
    "offline": (break_off, "the package registry can't be reached"),
    "503": (
        lambda index, _: setattr(index, "trouble", "503"),
        "the package registry answers with an error",
    ),
    "forged": (lambda index, _: setattr(index, "trouble", "forged"), "its hash differs"),
    "hanging": (hang, "the package registry can't be reached"),
}


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_registry_in_trouble(
    service: Service, trouble: str, installer: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if installer == "pip":
        request.getfixturevalue("pip_only")
    good = dict(service.env)
    service.env["UV_CACHE_DIR"] = service.env["PIP_CACHE_DIR"] = str(tmp_path / "empty")
    cause, reason = TROUBLES[trouble]
    cause(service.index, service)
    result = service.set_up("--init-git")
    assert result.returncode == 1
    assert "at step 3: Installing packages" in result.stdout
    assert reason in result.stdout
    assert "[4/7]" not in result.stdout
    # The commit does not need the packages.
    assert service.git("rev-list", "--count", "--all").strip() == "1"
    assert "--init-git" not in command_in(result.stdout)
    if installer == "pip" and trouble != "offline":
        return  # the rest is the same, and slow
    settings = service.settings()
    service.index.trouble = ""
    service.resume(result.stdout, **good)
    assert service.settings() == settings


@pytest.mark.parametrize(
    ("trouble", "step", "reason"),
    [
        ({"TOY_ALEMBIC": "no such table"}, 4, "no such table"),
        ({"TOY_INIT_DB": "database or disk is full"}, 5, "no space is left on the disk"),
        ({"TOY_UVICORN": "Address already in use"}, 6, "the service stopped: Address already"),
    ],
    ids=["migrate", "superuser", "prove"],
)
def test_failing_step(service: Service, trouble: dict[str, str], step: int, reason: str) -> None:
    result = service.set_up(**trouble)
    assert result.returncode == 1
    assert f"at step {step}: " in result.stdout
    assert reason in result.stdout
    assert f"[{step + 1}/6]" not in result.stdout
    service.resume(result.stdout)


def test_what_was_left_out_as_asked_is_left_out_again(service: Service) -> None:
    result = service.set_up("--skip", "migrate", "superuser", TOY_UVICORN="broken")
    assert result.returncode == 1
    assert "Skipped     migrate, superuser, as you asked" in result.stdout
    assert command_in(result.stdout).endswith(" --skip migrate superuser")


def test_hashes_are_required(service: Service) -> None:
    (service.root / "requirements-dev.txt").write_text("toybox==1.0\n")
    result = service.set_up()
    assert result.returncode == 1
    assert "at step 3: " in result.stdout
    assert "hash" in result.stdout


def test_service_that_is_never_ready(
    setup: ModuleType,
    checkout: ModuleType,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert service.set_up("--skip", "prove").returncode == 0
    monkeypatch.setattr(setup, "SECONDS_TO_START", 3)
    project = checkout.Checkout(service.root)
    project.environment["TOY_STATUS"] = "500"
    with pytest.raises(checkout.Failed, match="GET /readyz: 500"):
        setup.prove(project)


def test_secrets_are_nowhere_but_in_env(service: Service) -> None:
    assert service.set_up("--init-git").returncode == 0
    password = service.settings()["FIRST_SUPERUSER_PASSWORD"]
    result = service.set_up(TOY_LEAK=f"{password} https://me:{'pass'}word@index/")
    log = (service.root / "var/setup.log").read_text("utf-8")
    assert "password of ALEMBIC is *** https://***@index/" in log
    assert password not in log + result.stdout
    failed = service.set_up(TOY_ALEMBIC=f"wrong password {password}")
    assert password not in failed.stdout + (service.root / "var/setup.log").read_text("utf-8")
    if os.name != "nt":
        assert (service.root / "var/setup.log").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def disk(service: Service, small_disk: Path) -> Path:
    """A disk with the service on it."""
    service.root = Path(shutil.copytree(service.root, small_disk / "service"))
    return small_disk


@pytest.mark.parametrize(("installer", "free", "step"), [("uv", 0, 1), ("pip", 2**20, 2)])
def test_full_disk(
    service: Service,
    disk: Path,
    request: pytest.FixtureRequest,
    *,
    installer: str,
    free: int,
    step: int,
) -> None:
    if installer == "pip":
        request.getfixturevalue("pip_only")
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - free))

    result = service.set_up("--init-git")

    assert result.returncode == 1
    assert f"at step {step}: " in result.stdout
    assert "no space is left on the disk" in result.stdout
    # The secrets are there in full or not at all.
    assert not (service.root / ".env").exists() or service.settings()["SECRET_KEY"]
    filler.unlink()
    service.resume(result.stdout)


@pytest.mark.parametrize(
    ("what", "step"),
    [("uv", 3), ("pip", 3), ("ALEMBIC", 4), ("INIT_DB", 5), ("UVICORN", 6), ("GIT", 7)],
)
def test_disk_that_fills_up_meanwhile(
    service: Service,
    disk: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    *,
    what: str,
    step: int,
) -> None:
    if what == "pip":
        request.getfixturevalue("pip_only")
    filler = disk / "filler"
    trouble = {"TOY_FILLER": str(filler)}
    if what in {"uv", "pip"}:
        service.index.filler = filler
        trouble |= dict.fromkeys(["UV_CACHE_DIR", "PIP_CACHE_DIR"], str(tmp_path / "empty"))
    else:
        trouble[f"TOY_{what}"] = "fill"

    result = service.set_up(*(["--init-git"] if what == "GIT" else []), **trouble)

    assert result.returncode == 1
    assert f"at step {step}: " in result.stdout
    assert "no space is left on the disk" in result.stdout
    service.index.filler = None
    filler.unlink()
    service.resume(result.stdout)


def test_read_only_disk(service: Service, disk: Path) -> None:
    as_administrator("mount", "-o", "remount,ro", str(disk))
    result = service.set_up()
    as_administrator("mount", "-o", "remount,rw", str(disk))

    assert result.returncode == 1
    assert "at step 1: " in result.stdout
    assert "the disk is read-only" in result.stdout
    service.resume(result.stdout)


def python_without(folder: Path, *parts: str) -> Path:
    """Make a Python whose standard library lacks something."""
    library = Path(sysconfig.get_path("stdlib"))
    python = folder / "part/bin/python3"
    (folder / "part/lib" / library.name).mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in parts:
            (folder / "part/lib" / library.name / path.name).symlink_to(path)
    python.parent.mkdir()
    shutil.copy(Path(sys.executable).resolve(), python)
    return python


linux = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere Python finds its library otherwise"
)


@linux
@pytest.mark.parametrize("missing", ["ensurepip", "venv"])
def test_python_that_lacks_a_part(service: Service, missing: str, tmp_path: Path) -> None:
    """As on Debian: what is missing there is a package of its own, python3-venv."""
    python = python_without(tmp_path, missing)
    uv = Path(service.env["PATH"]) / "uv"
    hidden = uv.rename(tmp_path / "uv")

    result = service.run([str(python), str(service.script)])

    assert result.returncode == 1
    assert "at step 2: " in result.stdout
    assert "this Python can't make virtual environments; install uv, or" in result.stdout
    hidden.rename(uv)
    service.resume(result.stdout)


@pytest.mark.nightly
def test_old_pip(service: Service, pip_only: Service) -> None:
    """The one that Python 3.11.0 came with, or the first that runs on newer ones."""
    version = "22.3" if sys.version_info < (3, 12) else "23.2.1"
    venv = service.root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    command = [str(UV), "pip", "install", "--quiet", "--python", str(venv), f"pip=={version}"]
    subprocess.run(command, check=True)

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    service.check_complete()


def test_python_that_is_too_old(
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    service: Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(setup, "ROOT", service.root)
    monkeypatch.setattr(setup, "OLDEST_PYTHON", (99, 1))
    monkeypatch.setattr(setup, "NEWER_PYTHONS", ("python99.2", "python99.1"))
    assert setup.main([]) == 1
    output = capsys.readouterr().out
    assert "it needs Python 99.1 or newer, and this is 3." in output
    assert command_in(output).startswith("python99.1 ")


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_scripts_are_the_same_rendered_and_parse_on_old_pythons(path: Path) -> None:
    source = path.read_text("utf-8")
    ast.parse(source, feature_version=(3, 8))
    markers = {
        "block_start_string": "# {%",
        "comment_start_string": "# {#",
        "comment_end_string": "#}",
        "keep_trailing_newline": True,
    }
    assert Environment(**markers).from_string(source).render() == source  # type: ignore[arg-type] # noqa: S701 - not HTML
    assert source.isascii()


def test_a_folder_that_is_no_environment_is_left_alone(service: Service) -> None:
    (service.root / ".venv").mkdir()
    (service.root / ".venv/letter.txt").write_text("mine")
    result = service.set_up()
    assert result.returncode == 1
    assert "is not a virtual environment; move it away" in result.stdout
    assert (service.root / ".venv/letter.txt").read_text() == "mine"


@posix
def test_a_link_to_a_folder_is_left_alone(service: Service, tmp_path: Path) -> None:
    (tmp_path / "shared/pyvenv.cfg").parent.mkdir()
    (tmp_path / "shared/pyvenv.cfg").touch()
    (service.root / ".venv").symlink_to(tmp_path / "shared")
    result = service.set_up()
    assert result.returncode == 1
    assert "move it away" in result.stdout
    assert (tmp_path / "shared/pyvenv.cfg").exists()


def test_an_environment_that_somebody_made_is_used(service: Service) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", service.root / ".venv"], check=True
    )
    (service.root / ".venv/mine").touch()
    assert service.set_up().returncode == 0
    assert (service.root / ".venv/mine").exists()


@pytest.mark.parametrize("text", ["", "x", "x\n", "\udcff\n\n"], ids=ascii)
def test_a_damaged_stamp_is_that_of_a_broken_environment(service: Service, text: str) -> None:
    assert service.set_up("--skip", "migrate", "superuser", "prove").returncode == 0
    (service.root / ".venv/old").touch()
    (service.root / ".venv/finished-setup").write_bytes(text.encode(errors="surrogateescape"))
    result = service.set_up()
    assert result.returncode == 0, result.stdout
    assert not (service.root / ".venv/old").exists()


@posix
@pytest.mark.parametrize(
    ("version", "prefix", "is_healthy"),
    [("3, 12, 0", "/x", True), ("3, 10, 9", "/x", False), ("3, 12, 0", sys.base_prefix, False)],
    ids=["good", "old", "no environment"],
)
def test_environment_of_another_kind_is_not_kept(
    setup: ModuleType,
    checkout: ModuleType,
    tmp_path: Path,
    *,
    version: str,
    prefix: str,
    is_healthy: bool,
) -> None:
    """Its Python is too old, or is none of an environment any more."""
    project = checkout.Checkout(tmp_path)
    project.scripts.mkdir(parents=True)
    project.python.write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.version_info = ({version})\n"
        f"sys.prefix = {prefix!r}\nexec(sys.argv[-1])\n"
    )
    project.python.chmod(0o755)
    assert setup.is_healthy(project) == is_healthy


@pytest.mark.parametrize("damage", ["moved", "interpreter gone", "interpreter broken"])
def test_a_broken_environment_is_made_again(service: Service, damage: str) -> None:
    assert service.set_up().returncode == 0
    (service.root / ".venv/old").touch()
    if damage == "moved":
        service.root = service.root.rename(service.root.with_name("moved"))
    else:
        scripts = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        python = service.root / ".venv" / scripts
        python.unlink()
        if damage == "interpreter broken":
            python.write_text("")
    result = service.set_up()
    assert result.returncode == 0, result.stdout
    assert not (service.root / ".venv/old").exists()


def test_environment_of_uv_gets_pip_when_uv_is_gone(service: Service) -> None:
    assert service.set_up("--skip", "migrate", "superuser", "prove").returncode == 0
    (service.root / "requirements-dev.txt").write_text(requirements("toybox") + "# new\n")
    for program in Path(service.env["PATH"].split(os.pathsep)[0]).glob("uv*"):
        program.unlink()
    result = service.set_up()
    assert result.returncode == 0, result.stdout


ODD_PATHS = {"colon": "a:b", "quote": 'a"b', "dollar": "a$b", "backtick": "a`b", "line": "a\nb"}


@posix
@pytest.mark.parametrize("name", ODD_PATHS.values(), ids=ODD_PATHS)
def test_path_that_only_uv_can_work_in(service: Service, tmp_path: Path, name: str) -> None:
    service.root = service.root.rename(tmp_path / name)
    uv = Path(service.env["PATH"]) / "uv"
    hidden = uv.rename(tmp_path / "uv")

    result = service.set_up()

    assert result.returncode == 1
    character = next(c for c in name if not c.isalpha())
    assert "at step 2: Creating .venv with pip" in result.stdout
    assert f"with {character!a} in its path; install uv, or move the folder" in result.stdout
    assert not (service.root / ".venv").exists()
    hidden.rename(uv)
    service.resume(result.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are always UTF-8")
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_path_that_is_no_text(
    service: Service, tmp_path: Path, installer: str, request: pytest.FixtureRequest
) -> None:
    """Neither uv nor pip can work there, so that it has to be moved."""
    if installer == "pip":
        request.getfixturevalue("pip_only")
    service.root = service.root.rename(tmp_path / "caf\udce9")
    result = service.set_up("--init-git")
    assert result.returncode == 1
    assert "at step 2: " in result.stdout
    assert "its path has bytes that are no UTF-8; move the folder" in result.stdout
    # A shell makes the same bytes of it again, whatever the terminal has shown.
    again = service.run(command_in(result.stdout))
    assert "at step 2: " in again.stdout
    service.root = service.root.rename(tmp_path / "100% (caf\u00e9)")
    assert service.set_up().returncode == 0


@posix
def test_path_that_the_locale_can_not_express(service: Service) -> None:
    del service.env["PYTHONIOENCODING"]
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = service.set_up("--init-git", **locale, TOY_ALEMBIC="trouble")
    assert "at step 4: " in result.stdout
    service.resume(result.stdout, **locale)
    assert service.set_up(**locale).stdout.count("(kept: ") == 3


# --- interrupted -------------------------------------------------------------------------------

HANG = """
import os, pathlib, time
if os.environ.get("TOY_{name}") == "hang":
    pathlib.Path(os.environ["TOY_MARK"]).write_text(str(os.getpid()))
    time.sleep(60)
"""
# What hangs, and the number of the step in which it does.
HANGS_WITH_PIP = {"VENV": 2, "ENSUREPIP": 2, "index": 3}
HANGS = {
    "UV": 2,
    "index": 3,
    "ALEMBIC": 4,
    "INIT_DB": 5,
    "UVICORN": 6,
    "GIT": 7,
}


def python_that_hangs(folder: Path) -> Path:
    """A Python whose venv and ensurepip hang when they are told to."""
    python = python_without(folder, "venv", "ensurepip")
    library = Path(sysconfig.get_path("stdlib"))
    for name in ("venv", "ensurepip"):
        copy = folder / "part/lib" / library.name / name
        shutil.copytree(library / name, copy)
        main = copy / "__main__.py"
        main.write_text(HANG.format(name=name.upper()) + main.read_text())
    return python


def start_and_hang(
    service: Service, what: str, tmp_path: Path, python: str | Path = sys.executable
) -> subprocess.Popen[str]:
    env = {**service.env, f"TOY_{what}": "hang"}
    if what == "UV":
        env["TOY_LEAVES"] = str(service.root / ".venv/bin/half")
    if what == "index":
        service.index.trouble = "hang"
        env["UV_CACHE_DIR"] = env["PIP_CACHE_DIR"] = str(tmp_path / "empty")
    process = subprocess.Popen(
        [python, service.script, "--init-git"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    mark = tmp_path / "mark"
    deadline = time.monotonic() + 60
    while not (service.index.asked.is_set() if what == "index" else mark.exists()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def is_running(mark: Path) -> bool:
    """Tell whether the process of that number runs still."""
    if not mark.exists() or not mark.read_text():
        return False
    try:
        os.kill(int(mark.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@posix
@pytest.mark.parametrize(
    ("what", "how"),
    [
        *((what, "Ctrl-C") for what in HANGS),
        *((what, how) for what in ("index", "UVICORN") for how in ("SIGINT", "SIGTERM", "SIGHUP")),
    ],
)
def test_interrupted_and_resumed(service: Service, what: str, how: str, tmp_path: Path) -> None:
    process = start_and_hang(service, what, tmp_path)
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.Signals[how])
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert "Traceback" not in output
    assert f"at step {HANGS[what]}: " in output
    assert "it was interrupted" in output
    assert f"[{HANGS[what] + 1}/7]" not in output
    assert not is_running(tmp_path / "mark")
    assert not (service.root / ".git").exists()
    settings = service.settings()
    service.index.trouble = ""
    service.resume(output)
    assert service.settings() == settings
    assert service.git("rev-list", "--count", "--all").strip() == "1"


@posix
@pytest.mark.parametrize("what", HANGS)
def test_killed_and_resumed(service: Service, what: str, tmp_path: Path) -> None:
    process = start_and_hang(service, what, tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    settings = service.settings()
    service.index.trouble = ""
    result = service.set_up("--init-git")
    assert result.returncode == 0, result.stdout
    service.check_complete()
    assert service.settings() == settings
    assert service.git("rev-list", "--count", "--all").strip() == "1"


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("what", HANGS_WITH_PIP)
def test_interrupted_with_pip_and_resumed(
    service: Service, pip_only: Service, tmp_path: Path, what: str, number: int
) -> None:
    python = python_that_hangs(tmp_path)
    process = start_and_hang(service, what, tmp_path, python)
    os.killpg(process.pid, number)
    output = process.communicate(timeout=30)[0]
    settings = service.settings()
    service.index.trouble = ""
    if number == signal.SIGINT:
        assert f"at step {HANGS_WITH_PIP[what]}: " in output
        service.resume(output)
    else:
        result = service.run([str(python), str(service.script), "--init-git"])
        assert result.returncode == 0, result.stdout
        service.check_complete()
    assert service.settings() == settings
    assert service.git("rev-list", "--count", "--all").strip() == "1"


@posix
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "changed"])
def test_half_installed_environment_is_made_again(
    service: Service, is_new: bool, tmp_path: Path
) -> None:
    if not is_new:
        (service.root / "requirements-dev.txt").write_text("")
        assert service.set_up("--skip", "migrate", "superuser", "prove").returncode == 0
        (service.root / "requirements-dev.txt").write_text(requirements("toybox"))
        service.index.asked.clear()
    process = start_and_hang(service, "index", tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    (service.root / ".venv/half").touch()
    service.index.trouble = ""
    assert service.set_up().returncode == 0
    assert not (service.root / ".venv/half").exists()


@posix
@pytest.mark.parametrize("what", ["SIGINT", "SIGKILL"])
def test_interrupted_while_env_is_written(
    setup: ModuleType, checkout: ModuleType, tmp_path: Path, what: str
) -> None:
    """The file is there in full or not at all."""
    (tmp_path / "example.env").write_text("SECRET_KEY=\nFIRST_SUPERUSER_PASSWORD=\n")
    code = f"""
import os, signal, sys
sys.dont_write_bytecode = True
sys.path.insert(0, {str(SCRIPTS)!r})
import pathlib, setup_environment
replace = pathlib.Path.replace
def interrupted(self, target):
    if target.name == ".env":
        os.kill(os.getpid(), signal.{what})
    return replace(self, target)
pathlib.Path.replace = interrupted
setup_environment.ROOT = pathlib.Path({str(tmp_path)!r})
sys.exit(setup_environment.main(["--skip", "venv", "install", "migrate", "superuser", "prove"]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode in {130, -9}
    assert not (tmp_path / ".env").exists()
    assert setup.write_env(checkout.Checkout(tmp_path)) == ""
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_child_that_does_not_end_is_killed(
    checkout: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "SECONDS_TO_STOP", 0.2)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with checkout.Checkout(tmp_path).started(sys.executable, "-c", stubborn) as child:
        while not child.output():
            time.sleep(0.01)
    assert child.process.returncode == (1 if os.name == "nt" else -signal.SIGKILL)


class UnreachableProcess:
    """A process that nothing but force ends."""

    returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        raise OSError(6, "The handle is invalid")

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            raise subprocess.TimeoutExpired("x", timeout or 0)
        return self.returncode

    def kill(self) -> None:
        self.returncode = 1


def test_child_that_can_not_be_asked_to_end_is_killed(
    checkout: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, in a process that has no console to send Ctrl-Break through."""
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    process = UnreachableProcess()

    checkout.stop(process)

    assert process.returncode == 1


# --- git ---------------------------------------------------------------------------------------

ONLY_GIT = ["--init-git", "--skip", "venv", "install", "migrate", "superuser", "prove"]


def test_commit_holds_no_secret(service: Service) -> None:
    assert service.set_up("--init-git").returncode == 0
    committed = service.git("ls-files").splitlines()
    assert "scripts/setup_environment.py" in committed
    assert not [name for name in committed if name.startswith((".env", ".venv", "var"))]
    contents = service.git("grep", "-h", "", "HEAD")
    for name in ("SECRET_KEY", "FIRST_SUPERUSER_PASSWORD"):
        assert service.settings()[name] not in contents


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        (".gitignore", "/var/\n", "git does not ignore .env"),
        (".gitignore", ".env\n", "git does not ignore var/"),
        ("notes.txt", "my password: {FIRST_SUPERUSER_PASSWORD}", "notes.txt holds a secret"),
    ],
)
def test_secrets_are_not_committed(
    service: Service, path: str, text: str, reason: str, tmp_path: Path
) -> None:
    """Not even when the owner's own settings of git would hide the mistake."""
    (tmp_path / "ignored").write_text(".env\nvar/\n")
    service.env["GIT_CONFIG_GLOBAL"] = str(tmp_path / "gitconfig")
    (tmp_path / "gitconfig").write_text(
        f"[user]\nname = T\nemail = t@example.com\n[core]\nexcludesFile = "
        f"{(tmp_path / 'ignored').as_posix()}\n"
    )
    service.set_up(*ONLY_GIT[1:])
    (service.root / path).write_text(text.format(**service.settings()))
    result = service.set_up(*ONLY_GIT)
    assert result.returncode == 1
    assert reason in result.stdout
    assert not (service.root / ".git").exists()


def test_commit_ignores_hooks_and_signing(service: Service, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "prepare-commit-msg"):  # --no-verify leaves the second one in
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    service.env["GIT_CONFIG_GLOBAL"] = str(tmp_path / "gitconfig")
    (tmp_path / "gitconfig").write_text(
        f"[user]\nname = T\nemail = t@example.com\n[core]\nhooksPath = {hooks.as_posix()}\n"
        f"[init]\ntemplateDir = {tmp_path.as_posix()}\ndefaultBranch = other\n"
        "[commit]\ngpgSign = true\ntemplate = /nowhere\n[gpg]\nprogram = /nowhere\n"
    )
    result = service.set_up(*ONLY_GIT)
    assert result.returncode == 0, result.stdout
    assert service.git("log", "--format=%D").strip() == "HEAD -> main"
    assert not (service.root / ".git/hooks").exists()


def test_new_repository_without_a_commit_is_used(service: Service) -> None:
    service.git("init", "-q", "-b", "trunk")
    result = service.set_up(*ONLY_GIT)
    assert result.returncode == 0, result.stdout
    assert service.git("log", "--format=%D").strip() == "HEAD -> trunk"


def skipped_git(service: Service, reason: str) -> None:
    result = service.set_up(*ONLY_GIT)
    assert result.returncode == 0, result.stdout
    assert f"Making the first commit: {reason}" in result.stdout


def test_no_repository_inside_another(service: Service, tmp_path: Path) -> None:
    subprocess.run([str(GIT), "init", "-q", tmp_path], check=True)
    skipped_git(service, f"this folder is inside another repository, {tmp_path.as_posix()}")
    assert not (service.root / ".git").exists()


def test_no_git(service: Service) -> None:
    service.env["PATH"] = str(service.root)
    skipped_git(service, "git is not installed")


def test_git_that_does_not_work(service: Service) -> None:
    if os.name == "nt":
        pytest.skip("a program that is a script")
    program = Path(service.env["PATH"]) / "git"
    program.write_text("#!/bin/sh\necho 'xcrun: error: no developer tools' >&2; exit 1\n")
    skipped_git(service, "git says: xcrun: error: no developer tools")


def test_no_identity(service: Service, tmp_path: Path) -> None:
    service.env["GIT_CONFIG_GLOBAL"] = str(tmp_path / "none")
    service.env["EMAIL"] = "guess@example.com"  # git would make up a name to go with it
    skipped_git(service, "git does not know who you are")
    assert not (service.root / ".git").exists()
    assert not (service.root / "var/repository.draft").exists()


def test_identity_of_the_environment(service: Service, tmp_path: Path) -> None:
    service.env |= {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "none"),
        **{f"GIT_{role}_NAME": "T" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "t@example.com" for role in ("AUTHOR", "COMMITTER")},
    }
    assert service.set_up(*ONLY_GIT).returncode == 0
    assert service.git("log", "--format=%an <%ae>").strip() == "T <t@example.com>"


# --- small parts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "it ended without a message"),
        ("one\ntwo\n\nthree\n", "two three"),
        (
            "The virtual environment was not created successfully because ensurepip is not\n"
            "available.  On Debian/Ubuntu systems, you need to install the python3-venv\n",
            "this Python can't make virtual environments",
        ),
        ("python: No module named venv", "this Python can't make virtual environments"),
        ("[Errno 28] No space left on device: '/x'", "no space is left on the disk"),
        ("OSError: [Errno 30] Read-only file system: '/x'", "the disk is read-only"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "a file may not be read"),
        ("  \u00d7 Failed\n  \u2570\u2500\u25b6 Hash mismatch for `x==1`", "its hash differs"),
    ],
)
def test_explain(checkout: ModuleType, output: str, expected: str) -> None:
    explanation = checkout.explain(output)
    assert explanation.startswith(expected) or expected in explanation
    assert explanation.isascii()


def test_name_of_a_package_is_no_cause(setup: ModuleType, checkout: ModuleType) -> None:
    output = "Ignoring async-timeout: markers do not match\nERROR: one\nERROR: two\n"
    causes = {**checkout.CAUSES, **setup.REGISTRY_CAUSES}
    assert checkout.explain(output, causes) == "ERROR: one ERROR: two"
    assert "can't be reached" in checkout.explain("Read timed out. (timeout=1.0)", causes)
    assert "can't be reached" in checkout.explain("operation timed out", causes)


def test_explain_is_short(checkout: ModuleType) -> None:
    assert len(checkout.explain("x" * 10_000)) < 400


def test_windows(
    setup: ModuleType, checkout: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkout, "WINDOWS", True)
    root = tmp_path / "my service"
    project = checkout.Checkout(root)
    assert project.python == root / ".venv" / "Scripts" / "python.exe"
    outcomes = [setup.Outcome(step, "done") for step in setup.STEPS]
    lines = "\n".join(setup.summarise(project, outcomes, [], 1.0))
    assert str(Path("Scripts/poe")) in lines
    assert f'cd "{root}"' in lines


def test_windows_removes_what_is_read_only(
    checkout: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As git's files are. There, only what can be written can be removed."""
    monkeypatch.setattr(checkout, "WINDOWS", True)
    draft = tmp_path / "draft"
    (draft / "objects").mkdir(parents=True)
    (draft / "objects/one").touch()
    (draft / "objects/one").chmod(0o400)
    removed = []

    def rmtree(path: Path) -> None:
        files = [file for file in path.rglob("*") if file.is_file()]
        assert all(file.stat().st_mode & stat.S_IWRITE for file in files)
        removed.extend(files)

    monkeypatch.setattr(checkout.shutil, "rmtree", rmtree)
    checkout.Checkout(tmp_path).discard(draft)
    assert [path.name for path in removed] == ["one"]


def test_windows_starts_commands_that_can_be_asked_to_end(
    checkout: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-Break reaches a whole group: without one of its own, this process as well."""
    group = 0x200
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", group, raising=False)
    start = subprocess.Popen
    flags = []

    def popen(command: list[str], *, creationflags: int, **options: Any) -> subprocess.Popen[bytes]:
        flags.append(creationflags)
        return start(command, **options)

    monkeypatch.setattr(checkout.subprocess, "Popen", popen)
    checkout.Checkout(tmp_path).run(sys.executable, "-c", "")
    assert flags == [group]


def test_log_that_cannot_be_written_stops_nothing(checkout: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("not a folder")
    checkout.Checkout(tmp_path).log("text")


def test_nothing_asked_for(service: Service) -> None:
    result = service.set_up(*ONLY_GIT[1:], "env")
    assert result.returncode == 0
    assert "Set it up with this command:" in result.stdout
    assert not (service.root / "var").exists()
    service.resume(result.stdout)
