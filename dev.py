"""Work on this template. Needs Python 3.11 or newer, pip and git; the rest sets itself up.

python3 dev.py try [name=value ...]   generate a service from this checkout and start it
python3 dev.py test [pytest options]  run the template's tests
python3 dev.py check                  lint, formatting, types and workflows of the template itself
python3 dev.py lock [--upgrade]       pin the dependencies again (--check: only compare)
python3 dev.py benchmark [--limit N]  how long a generation takes, beside an empty template
python3 dev.py release VERSION        check that all is ready, tag a release and record it
python3 dev.py pictures               make the pictures of the README again
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
REQUIREMENTS = ROOT / "requirements.txt"
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
# Cookiecutter lets files of the service include these.
LICENSE_TEXTS = ROOT / "templates"

# Without --config, ruff takes the pyproject.toml of the template folder, which is not rendered.
# A cache would lie in that folder, and be copied to every service.
RUFF = ["--quiet", "--no-cache", "--config", "pyproject.toml"]
SOURCES = ["dev.py", "hooks", "tests", "tools"]
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in TEMPLATE.glob("scripts/*.py"))

COMMANDS = {
    "try": [["-m", "tools.try_service"]],
    "test": [["-m", "pytest"]],
    "check": [
        ["-m", "ruff", "check", *RUFF, *SOURCES],
        ["-m", "ruff", "format", *RUFF, "--check", *SOURCES],
        # The raw service is only half of what it becomes; its own rules, stricter, are applied
        # to the generated one by the tests. F811: both branches of a condition may define a name.
        ["-m", "ruff", "check", *RUFF, "--select=B,E4,E7,E9,F,W", "--ignore=F811", TEMPLATE.name],
        ["-m", "ruff", "format", *RUFF, "--check", TEMPLATE.name],
        # The same wherever it runs: tests and pictures use what Windows lacks, and say so.
        ["-m", "mypy", "--platform=linux"],
        # What runs on the machines of those who generate a service uses nothing that Windows lacks.
        ["-m", "mypy", "--platform=win32", "dev.py", "hooks", *SCRIPTS],
        ["zizmor", "--quiet", "--offline", "--pedantic", ".github"],
    ],
    "lock": [["-m", "tools.lock"]],
    "benchmark": [["-m", "tools.benchmark"]],
    "release": [["-m", "tools.release"]],
    "pictures": [["-m", "tools.pictures"]],
}

# The variables of pip and uv that only say how to reach the package index and the cache. All others
# (PIP_TARGET, UV_PROJECT_ENVIRONMENT, ...) would install elsewhere, or something else. The service's
# scripts/setup_environment.py has the same ones; a test compares them.
INSTALLER_VARIABLES = re.compile(
    "(PIP|UV)_.*(CACHE|CERT|CONFIG|CREDENTIALS|EXCLUDE_NEWER|FIND_LINKS|HOST|HTTP|INDEX|KEYRING"
    "|LINK_MODE|OFFLINE|PROXY|RETRIES|TIMEOUT|TLS).*"
)
# What would make a Python that we start use another environment's packages or settings.
FOREIGN_VARIABLES = {
    "__PYVENV_LAUNCHER__",
    "COOKIECUTTER_CONFIG",
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONWARNINGS",
    "VIRTUAL_ENV",
}


def clean_environment() -> dict[str, str]:
    """The environment variables for what we start: nothing of another environment."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN_VARIABLES
        and (not name.startswith(("PIP_", "UV_")) or INSTALLER_VARIABLES.fullmatch(name))
    }
    # pip trusts the certificates of the system, those of a company's proxy among them; uv shall too.
    env.setdefault("UV_SYSTEM_CERTS", "1")
    # Tools of the template's environment, uv among them, are found first.
    env["PATH"] = os.pathsep.join(filter(None, [str(BIN), env.get("PATH")]))
    return env


def run(command: list[str], cwd: Path = ROOT) -> int:
    """Run a command in the foreground and wait until it has ended, also after Ctrl-C."""
    process = subprocess.Popen(command, cwd=cwd, env=clean_environment())

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The terminal has told the command too; it ends in its own time.
                continue
    finally:
        signal.signal(signal.SIGTERM, previous)
        if process.poll() is None:
            process.terminate()
            process.wait()


def in_environment(command: list[str]) -> list[str]:
    """Complete a command of COMMANDS: options are for Python, others are programs beside it."""
    if command[0].startswith("-"):
        return [str(PYTHON), *command]
    return [str(BIN / command[0]), *command[1:]]


def stop(message: str) -> SystemExit:
    return SystemExit(f"dev.py: {message}")


def make_environment() -> None:
    """Make .venv with exactly what requirements.txt lists, unless it is there already."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / "dev.py.stamp"
    if stamp.is_file() and stamp.read_text() == wanted and PYTHON.exists():
        return
    if VENV.is_symlink():
        raise stop(f"{VENV} is a link to another place; remove it, then try again.")

    print("Preparing .venv, once for this requirements.txt ...", flush=True)
    # Debian and Ubuntu ship ensurepip apart from Python; the pip that is there does as well.
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    if not has_ensurepip and importlib.util.find_spec("pip") is None:
        raise stop("this Python has neither ensurepip nor pip (apt-get install python3-venv).")
    if importlib.util.find_spec("venv") is None:
        raise stop("this Python can't make environments (apt-get install python3-venv).")
    if VENV.exists():
        shutil.rmtree(VENV)
    make = [sys.executable, "-m", "venv", str(VENV)]
    pip = [str(PYTHON), "-m", "pip"]
    if not has_ensurepip:
        make.insert(3, "--without-pip")
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if run(make) != 0:
        raise stop("the environment could not be made; the reason is above.")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    # The list is complete; an old pip would look for newer releases of packages with extras.
    options += ["--no-deps", "--require-hashes"]
    if run([*pip, "install", *options, "-r", str(REQUIREMENTS)]) != 0:
        raise stop(
            "the requirements could not be installed; the reason is above. "
            "Is the package index reachable? The same command tries again."
        )
    stamp.write_text(wanted)


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is also started by older ones
        version = ".".join(str(part) for part in sys.version_info[:3])
        raise stop(f"Python 3.11 or newer is needed, this is {version} ({sys.executable}).")
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.strip())
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    name, *options = arguments
    make_environment()
    for command in COMMANDS[name]:
        code = run([*in_environment(command), *options])
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
