"""A toy service, its packages, and a package index that can fail, for tests of the set-up.

Python, uv, pip and the signals are real. The service and its packages are toys, so that a set-up
takes a second. Environment variables tell the toys what to do:

TOY_ALEMBIC, TOY_INIT_DB, TOY_SERVER
    How `python -m alembic`, `python -m app.db.init_db` and `python -m app` behave: "hang";
    "tidy" (hang, and take half a second to clean up after Ctrl-C); "fill" (fill up the disk). Any
    other text is the error that they exit with.
TOY_UV, TOY_VENV, TOY_ENSUREPIP
    "hang": `uv venv`, `python -m venv` or `python -m ensurepip` hangs.
TOY_LEAVES
    The folder that a hanging `uv venv` has made.
TOY_MARK
    The file in which a hanging toy leaves its process id. "tidy" deletes it when it has cleaned up.
TOY_FILLER
    The file with which "fill" fills up the disk.
TOY_FOREIGN
    Names of variables that must not reach a toy.
TOY_LEAK
    A text that the toys print.
TOY_STATUS
    The status with which the toy server answers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from dev import TEMPLATE

SCRIPT = TEMPLATE / "scripts" / "setup_environment.py"
# The uv of the template's environment comes first.
UV = shutil.which(
    "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
)
BASH = shutil.which("bash")

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals, modes or paths")
linux = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere, a copied Python doesn't find its library"
)

# --- The toys ---

TOYBOX = """
import os, pathlib, sys, time
def behave(name):
    how = os.environ.get("TOY_" + name)
    mark = pathlib.Path(os.environ["TOY_MARK"])
    if how in ("hang", "tidy"):
        mark.write_text(str(os.getpid()))
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            if how == "tidy":
                time.sleep(0.5)
                mark.unlink()
            raise
    elif how == "fill":
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
SERVER = """
import http.server, os, pathlib
from toybox import behave
behave("SERVER")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path == "/readyz" and pathlib.Path("var/superuser").exists()
        self.send_response(int(os.environ.get("TOY_STATUS", 200 if ready else 503)))
        self.end_headers()
assert os.environ["SHUTDOWN_DELAY"] == "0"
address = (os.environ["HOST"], int(os.environ["PORT"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""
INIT_DB = """
import pathlib
from toybox import behave
behave("INIT_DB")
assert pathlib.Path("var/app.db").exists(), "not migrated"
superuser = pathlib.Path("var/superuser")
superuser.exists() or superuser.touch()
"""
# A uv that can hang when it makes an environment.
UV_PROGRAM = f"""#!{sys.executable}
import os, pathlib, sys, time
if "venv" in sys.argv and os.environ.get("TOY_UV") == "hang":
    pathlib.Path(os.environ["TOY_LEAVES"]).mkdir(parents=True)
    pathlib.Path(os.environ["TOY_MARK"]).write_text(str(os.getpid()))
    time.sleep(60)
os.execv({UV!r}, [{UV!r}, *sys.argv[1:]])
"""
# Comes before the code of a module of the standard library.
HANGING_MODULE = """
import os, pathlib, time
if os.environ.get("TOY_{name}") == "hang":
    pathlib.Path(os.environ["TOY_MARK"]).write_text(str(os.getpid()))
    time.sleep(60)
"""

# --- The packages ---

PACKAGES = {
    "toybox": {"toybox.py": TOYBOX},
    "alembic": {
        "alembic/__init__.py": "",
        "alembic/__main__.py": ALEMBIC,
        "alembic/config.py": "",
    },
    "uvicorn": {"uvicorn/__init__.py": ""},
}
DEPENDENCIES = {"uvicorn": "Requires-Dist: alembic[extra] >=1.0\n"}


def make_wheel(name: str, files: dict[str, str], version: str = "1.0") -> bytes:
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        "Provides-Extra: extra\n" + DEPENDENCIES.get(name, ""),
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


WHEELS = {name: make_wheel(name, files) for name, files in PACKAGES.items()}
FORGED = {name: make_wheel(name, {f"{name}.py": "forged = True\n"}) for name in PACKAGES}
# Released after alembic 1.0 was locked. An old pip prefers it for `alembic[extra]`.
NEWER_ALEMBIC = make_wheel("alembic", {"alembic/__init__.py": ""}, "1.1")


def requirements(*names: str) -> str:
    hashes = {name: hashlib.sha256(WHEELS[name]).hexdigest() for name in names}
    return "".join(f"{name}==1.0 --hash=sha256:{digest}\n" for name, digest in hashes.items())


def fill_up(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(2**12)):
            pass


@dataclass
class Index:
    """A package index, and its trouble: "hang", "503" or "forged" (packages with other content)."""

    address: str = ""
    trouble: str = ""
    filler: Path | None = None  # fills up the disk with the first download
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
            return 200, NEWER_ALEMBIC if "alembic-1.1-" in path else wheels[name]
        return 404, b""


# --- The service ---

FILES = {
    ".gitignore": ".env\n/.venv/\n/var/\n__pycache__/\n",
    "example.env": (
        "# Keep me.\nENVIRONMENT=development\nSECRET_KEY=\n# DATABASE_URL=\n"
        "FIRST_SUPERUSER_EMAIL=a@example.com\nFIRST_SUPERUSER_PASSWORD=\n"
    ),
    "app/__init__.py": "",
    "app/__main__.py": SERVER,
    "app/core/__init__.py": "",
    "app/core/config.py": "def get_settings(): ...\n",
    "app/db/__init__.py": "",
    "app/db/init_db.py": INIT_DB,
    "app/db/session.py": "from contextlib import nullcontext as database_url\n",
    "app/main.py": "",
    "requirements.txt": requirements("alembic", "uvicorn"),
    "requirements-dev.txt": requirements("toybox"),
}


@dataclass
class Service:
    """A toy service, and the environment in which it is set up."""

    root: Path
    index: Index
    env: dict[str, str]

    def __post_init__(self) -> None:
        for path, text in FILES.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        self.script.parent.mkdir()
        shutil.copy(SCRIPT, self.script)

    @property
    def script(self) -> Path:
        return self.root / "scripts" / SCRIPT.name

    @property
    def python(self) -> Path:
        return self.root / (".venv/Scripts/python.exe" if os.name == "nt" else ".venv/bin/python")

    @property
    def mark(self) -> Path:
        return Path(self.env["TOY_MARK"])

    def load_script(self) -> ModuleType:
        """Import the script, to call its parts."""
        spec = importlib.util.spec_from_file_location("setup_environment", self.script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def set_up(self, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, str(self.script)], **env)

    def run(self, command: str | Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command, or a line that was copied into a terminal, in another folder."""
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
        _, found, rest = output.partition("Run this command to go on:\n\n    ")
        assert found, output
        result = self.run(rest.partition("\n")[0], **env)
        assert result.returncode == 0, result.stdout
        self.check_complete()

    def check_complete(self) -> None:
        assert (self.root / ".venv/setup-stamp").read_bytes()
        left = sorted(path.name for path in (self.root / "var").iterdir())
        assert left == ["app.db", "setup.log", "superuser"]

    def start_and_hang(
        self, toy: str, python: str | Path = sys.executable, how: str = "hang"
    ) -> subprocess.Popen[str]:
        """Start a set-up, as a terminal does, and wait until this toy or the index hangs."""
        env = {**self.env, f"TOY_{toy}": how, "TOY_LEAVES": str(self.root / ".venv/bin/half")}
        if toy == "index":
            self.index.trouble = "hang"
            env["UV_CACHE_DIR"] = env["PIP_CACHE_DIR"] = str(self.root.parent / "empty")
        process = subprocess.Popen(
            [python, self.script],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not (self.index.asked.is_set() if toy == "index" else self.mark.exists()):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    def is_hanging(self) -> bool:
        """Return whether the process of the toy that hangs still runs."""
        if not self.mark.exists() or not self.mark.read_text():
            return False
        try:
            os.kill(int(self.mark.read_text()), 0)
        except ProcessLookupError:
            return False
        return True

    def hide_uv(self) -> None:
        for program in Path(self.env["PATH"]).glob("uv*"):
            program.unlink()

    def settings(self) -> dict[str, str]:
        lines = (self.root / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")

    def snapshot(self) -> dict[str, tuple[int, str]]:
        """Return time and content of every file but the log and what Python compiles."""
        return {
            str(path.relative_to(self.root)): (
                path.stat().st_mtime_ns,
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            )
            for path in sorted(self.root.rglob("*"))
            if path.name not in {"setup.log", "var", "__pycache__"} and path.suffix != ".pyc"
        }


def python_without(folder: Path, *parts: str) -> Path:
    """Make a Python whose standard library lacks these modules."""
    library = Path(sysconfig.get_path("stdlib"))
    python = folder / "part/bin/python3"
    (folder / "part/lib" / library.name).mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in parts:
            (folder / "part/lib" / library.name / path.name).symlink_to(path)
    python.parent.mkdir()
    shutil.copy(Path(sys.executable).resolve(), python)
    return python


def python_that_hangs(folder: Path) -> Path:
    """Make a Python whose `venv` and `ensurepip` obey TOY_VENV and TOY_ENSUREPIP."""
    python = python_without(folder, "venv", "ensurepip")
    library = Path(sysconfig.get_path("stdlib"))
    for name in ("venv", "ensurepip"):
        copy = folder / "part/lib" / library.name / name
        shutil.copytree(library / name, copy)
        main = copy / "__main__.py"
        main.write_text(HANGING_MODULE.format(name=name.upper()) + main.read_text())
    return python
