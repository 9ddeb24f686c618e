"""Set up this checkout: .env, .venv, the database and the first superuser.

Run it in a fresh clone, after the requirements have changed, or again after a failure: finished
steps are kept. It needs only the standard library, and uses the syntax of Python 3.8 so that an
old Python can say that it is too old.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOWS = os.name == "nt"
OLDEST_PYTHON = (3, 11)
# This Python or, in a virtual environment, the one behind it. `venv` itself uses this attribute.
BASE_PYTHON: str = getattr(sys, "_base_executable", None) or sys.executable
UV = shutil.which("uv")

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "example.env"
ENV_FILE = ROOT / ".env"
# `poe audit` installs its packages into a folder of their own.
REQUIREMENTS = sorted({*ROOT.glob("requirements*.txt")} - {ROOT / "requirements-audit.txt"})
VENV = ROOT / ".venv"
PROGRAMS = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = PROGRAMS / ("python.exe" if WINDOWS else "python")
STAMP = VENV / "setup-stamp"  # empty until all packages are installed
VAR = ROOT / "var"  # ignored by git
LOG = VAR / "setup.log"
# The template's hook removes or renames it, whatever the answers.
LEFT_BY_TEMPLATE = ROOT / "requirements-dev.postgresql.txt"

SECONDS_TO_START = 120  # on a busy machine, a new PostgreSQL alone takes 20
SECONDS_TO_STOP = 10

# The meaning of patterns in the output of a failed command.
CAUSES = {
    r"no space left|disk is full|disk quota exceeded": "The disk is full.",
    r"no module named '?(ensurepip|venv)\b": (
        "This Python can't make virtual environments. Install uv or, on Debian and Ubuntu, the "
        "package python3-venv."
    ),
    "filtered by `exclude-newer`": (
        "uv hides locked packages, because of `exclude-newer` in uv.toml or UV_EXCLUDE_NEWER."
    ),
    r"hash mismatch|do not match the hashes": "A package differs from the locked one.",
    r"failed to (fetch|download)|no matching distribution|no solution found": (
        "The package index can't be reached, or it lacks a locked package."
    ),
}

# The caller's variables for these tools could change what is installed, or where ...
FOREIGN_PREFIXES = ("ALEMBIC_", "PIP_", "PYTHON", "UV_", "UVICORN_")
FOREIGN_VARIABLES = ("CLICOLOR_FORCE", "FORCE_COLOR", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
# ... but these only say how to reach the package index and the cache.
INSTALLER_VARIABLES = re.compile(
    "(PIP|UV)_.*(CACHE|CERT|CONFIG|CREDENTIALS|EXCLUDE_NEWER|FIND_LINKS|HOST|HTTP|INDEX|KEYRING"
    "|LINK_MODE|OFFLINE|PROXY|RETRIES|TIMEOUT|TLS).*"
)


# Does the rest in one Python: each start would import SQLAlchemy and the service again. PostgreSQL, if
# it is the database of this checkout, starts once too.
PREPARE = """
import runpy, signal, sys
# uvicorn repeats the signal that has stopped it. That must not kill this process before the database
# is closed: its server would go on.
for name in {"SIGTERM", "SIGBREAK"} & {*dir(signal)}:
    signal.signal(getattr(signal, name), lambda *_: sys.exit())
print("$ open the database", flush=True)
import alembic.config
from app.core.config import get_settings
from app.db.session import database_url
with database_url(get_settings()):
    for command in ("alembic upgrade head", "app.db.init_db", "app"):
        print("$ python -m", command, flush=True)
        module, *sys.argv[1:] = command.split()
        runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
# Most of the time goes to compiling each module at its first import. Another process does that too, on
# another core. It imports FastAPI first, and the one above Alembic and SQLAlchemy, so they share it.
COMPILE = "import app.main"


class SetupError(Exception):
    """A step failed; the message says why."""


# --- The steps. Each returns False if there was nothing to do. ---


def write_env() -> bool:
    if LEFT_BY_TEMPLATE.exists():
        raise SetupError(
            f"{LEFT_BY_TEMPLATE.name} shouldn't be here. The template's hooks have not run "
            "(--accept-hooks=no), so files of all answers are there. Generate the service again."
        )
    VAR.mkdir(exist_ok=True)
    LOG.unlink(missing_ok=True)
    if ENV_FILE.exists():
        return False
    content = re.sub(
        rb"(?m)^(SECRET_KEY|FIRST_SUPERUSER_PASSWORD)=(?=\r?$)",
        lambda match: match[0] + secrets.token_urlsafe(32).encode(),
        EXAMPLE.read_bytes(),
    )
    draft = VAR / "env.draft"
    draft.unlink(missing_ok=True)
    with open(draft, "xb", opener=open_privately) as file:
        file.write(content)
    draft.replace(ENV_FILE)  # complete, or not at all
    return True


def make_venv() -> bool:
    if VENV.exists():
        # Without a stamp, somebody else made .venv. With another path in the stamp, the checkout
        # was moved, and the programs in .venv don't start because they contain the old path.
        if not STAMP.exists() or STAMP.read_bytes().endswith(b" " + os.fsencode(VENV)):
            with contextlib.suppress(OSError, SetupError):
                run(PYTHON, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})")
                return False
        if VENV.is_symlink() or (any(VENV.iterdir()) and not STAMP.exists()):
            raise SetupError(f"{VENV} doesn't work, and this script didn't make it. Move it away.")
        old_venv = VAR / "old-venv"
        shutil.rmtree(old_venv, ignore_errors=True)
        VENV.replace(old_venv)  # so that an interruption can't leave half of it in place
        shutil.rmtree(old_venv)
    VENV.mkdir()
    STAMP.touch()
    if UV:
        return run(UV, "venv", "--allow-existing", "--python", BASE_PYTHON, VENV)
    # The next step installs pip. `venv` could do it too, but would hide why that failed.
    return run(BASE_PYTHON, "-m", "venv", "--without-pip", VENV)


def install_packages() -> bool:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in REQUIREMENTS)).hexdigest()
    stamp = digest.encode() + b" " + os.fsencode(VENV)
    if STAMP.exists() and STAMP.read_bytes() == stamp and not missing_packages():
        return False
    STAMP.write_bytes(b"")
    files = [word for path in REQUIREMENTS for word in ("-r", path)]
    if UV:
        run(UV, "pip", "install", "--python", PYTHON, "--no-progress", "--require-hashes", *files)
    else:
        run(PYTHON, "-m", "ensurepip", "--default-pip")
        # --no-deps: the files list everything. An old pip looks for a newer release of a package
        # that is needed with an extra, such as coverage[toml].
        options = ["--no-deps", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
        run(PYTHON, "-m", "pip", "install", *options, "--require-hashes", *files)
    if missing := missing_packages():
        raise SetupError(
            f"{missing[0]} is not in {VENV}. Does a configuration file of {'uv' if UV else 'pip'} "
            "set `target`, `prefix` or `root`? Remove that line."
        )
    for folder in site_packages():
        # Makes `app` importable in any folder: `.venv/bin/alembic -c /path/to/alembic.ini current`.
        (folder / "project.pth").write_text(os.path.relpath(ROOT, folder), encoding="utf-8")
    STAMP.write_bytes(stamp)
    return True


def site_packages() -> list[Path]:
    return [*VENV.glob("lib*/python*/site-packages"), *VENV.glob("Lib/site-packages")]


def missing_packages() -> list[str]:
    """List the packages for every system that are in the requirements and not in .venv."""
    text = "\n".join(path.read_text("utf-8") for path in REQUIREMENTS)
    wanted = {canonical(name) for name in re.findall(r"(?m)^([\w.-]+)==\S+ (?:--hash|\\$)", text)}
    paths = [path for folder in site_packages() for path in folder.glob("*.dist-info")]
    return sorted(wanted - {canonical(path.name.partition("-")[0]) for path in paths})


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def prepare() -> bool:
    """Migrate the database, create the first superuser, and start the service until it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # SHUTDOWN_DELAY is for load balancers, and there is none.
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "SHUTDOWN_DELAY": "0"}
    deadline = time.monotonic() + SECONDS_TO_START
    preparing = started(PYTHON, "-c", PREPARE, **settings)
    compiling = started(PYTHON, "-c", COMPILE)
    # In this order, the log ends with what has failed.
    with preparing as (process, output), compiling:
        while (answer := get(f"http://127.0.0.1:{port}/readyz")) != "200":
            if process.poll() is not None:
                commands = re.findall(r"(?m)^\$ (.+)", read(output))
                raise SetupError(explain(output, f"`{[PYTHON, *commands][-1]}` failed."))
            if time.monotonic() > deadline:
                raise SetupError(explain(output, f"GET /readyz: {answer}"))
            time.sleep(0.03)
    return True


def get(url: str) -> str:
    """Return the status of a GET request, or why there is none. The caller's proxy is not used."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as response:
            return str(response.status)
    except OSError as error:
        return str(error)


STEPS = {
    "Writing .env": write_env,
    "Creating .venv": make_venv,
    f"Installing packages with {'uv' if UV else 'pip'}": install_packages,
    "Preparing the database and starting the service": prepare,
}


# --- Commands ---


def run(*command: object) -> bool:
    with started(*command) as (process, output):
        if process.wait():
            raise SetupError(explain(output, f"Exit status {process.returncode}."))
    return True


@contextlib.contextmanager
def started(
    *command: object, **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a command; at the end of the block, stop it and add its output to the log.

    The output goes to a file because a database server that outlives the command would keep a pipe
    open.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words,
            # uv takes settings from the current folder and those above: maybe another project's.
            cwd=ROOT.anchor if words[0] == UV else ROOT,
            env={**clean_environment(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # for CTRL_BREAK
        )
        try:
            yield process, output
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)  # Ctrl-C reached the command too, and it may be cleaning up
            raise
        finally:
            if process.poll() is None:
                # OSError: Windows needs a console for CTRL_BREAK.
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
                    process.wait(SECONDS_TO_STOP)
                process.kill()
            text = f"$ {quote(words)}\n{read(output)}\n(exit status {process.wait()})\n\n"
            with open(LOG, "ab", opener=open_privately) as log:
                log.write(text.encode("utf-8", "backslashreplace"))


def clean_environment() -> dict[str, str]:
    """Return the caller's variables without those that could change the result."""
    foreign = {*FOREIGN_VARIABLES, *shadowing_variables()}
    kept = {
        name: value
        for name, value in os.environ.items()
        if INSTALLER_VARIABLES.fullmatch(name)
        or not (name in foreign or name.startswith(FOREIGN_PREFIXES))
    }
    # uv trusts the certificates of the system, as pip does. PIP_USER overrides pip.conf.
    fixed = {"NO_COLOR": "1", "PIP_USER": "0", "PYTHONIOENCODING": "utf-8"}
    return {"UV_SYSTEM_CERTS": "1", **kept, **fixed}


def shadowing_variables() -> list[str]:
    """Return the caller's variables that override .env, such as another project's DATABASE_URL."""
    settings = re.findall(r"(?m)^#? ?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text("utf-8"))
    return sorted(name for name in os.environ if name.upper() in settings)


# --- Output ---


def open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read(output: IO[bytes]) -> str:
    """Return the output without secrets of .env and without passwords in addresses."""
    output.seek(0)
    text = output.read().decode("utf-8", "replace")
    setting = r"(?m)^\w*(?:KEY|PASSWORD|TOKEN)\w* *= *['\"]?([^'\"\s]{8,})"
    for value in re.findall(setting, ENV_FILE.read_text("utf-8", "replace")):
        text = text.replace(value, "***")
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)


def explain(output: IO[bytes], summary: str) -> str:
    """Return the cause, or the summary if it is unknown, and the lines that tell most about it."""
    text = read(output)
    known = (cause for pattern, cause in CAUSES.items() if re.search(pattern, text, re.IGNORECASE))
    lines = [line.rstrip()[:300] for line in text.splitlines() if line.strip()]
    error = re.compile(r"[\w.]*(error|exception):", re.IGNORECASE)
    first = max((at for at, line in enumerate(lines) if error.match(line)), default=-3)
    return "\n    ".join([next(known, summary), *lines[first:][:3]])


def quote(words: Sequence[str]) -> str:
    return subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)


def print_summary(seconds: float) -> None:
    programs = PROGRAMS.relative_to(ROOT)
    print(f"\nThe service is set up ({seconds:.1f} s).")
    print(f"  Start it   cd {quote([str(ROOT)])}")
    print(f"             {programs / 'fastapi'} dev")
    print("  Open       http://127.0.0.1:8000/docs")
    print(f"  Log in     with FIRST_SUPERUSER_EMAIL and _PASSWORD from {ENV_FILE}")
    print(f"  Test it    {programs / 'poe'} check")
    if names := ", ".join(shadowing_variables()):
        print(f"  Warning    Your shell sets {names}; the service uses that instead of .env.")


def print_problem(problem: str) -> None:
    print(f"\n{problem}\n\nThe service's files are complete, but it is not set up yet.")
    print(f"The whole log is in {LOG}. Run this command to go on:")
    print(f"\n    {quote([BASE_PYTHON, str(ROOT / 'scripts' / Path(__file__).name)])}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    if sys.version_info < OLDEST_PYTHON:
        needed, found = ".".join(map(str, OLDEST_PYTHON)), sys.version.split()[0]
        print(f"Python {needed} or newer is needed, but {sys.executable} is Python {found}.")
        return 1
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # for any character in a path
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C
    begun = time.monotonic()
    for number, (title, step) in enumerate(STEPS.items(), 1):
        print(f"[{number}/{len(STEPS)}] {title} ... ", end="", flush=True)
        since = time.monotonic()
        try:
            done = step()
        except KeyboardInterrupt:
            print("interrupted")
            print_problem(f"Step {number} was interrupted.")
            return 130
        except (OSError, SetupError) as error:
            print("failed")
            print_problem(f"Step {number} failed: {error}")
            return 1
        print(f"{time.monotonic() - since:.1f} s" if done else "kept")
    print_summary(time.monotonic() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
