"""Work on this template. Needs Python 3.11 or newer, pip and git, and installs the rest itself.

python3 dev.py try [name=value ...]   generate a service from this checkout and start it
python3 dev.py test [pytest options]  run the template's tests
python3 dev.py check                  check format, lint, types and workflows of the template
python3 dev.py lock [--upgrade]       pin the dependencies again (--check only compares)
python3 dev.py openapi                write the service's openapi.json after a change of its API
python3 dev.py benchmark NAME         measure a generation, or a generated service
python3 dev.py release VERSION        check that everything is ready, tag a release and record it
python3 dev.py pictures               make the pictures for the README again
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

# Without --config, ruff would read the service's pyproject.toml, which isn't valid before it is
# rendered. Without --no-cache, it would leave files in the template's folder, for every service.
RUFF = ["--quiet", "--no-cache", "--config", "pyproject.toml"]
SOURCES = ["benchmarks", "dev.py", "hooks", "templates", "tests", "tools"]
SETUP = f"{TEMPLATE.name}/scripts/setup_environment.py"

COMMANDS = {
    "try": [["-m", "tools.try_service"]],
    "test": [["-m", "pytest"]],
    "check": [
        ["-m", "ruff", "check", *RUFF, *SOURCES],
        ["-m", "ruff", "format", *RUFF, "--check", *SOURCES],
        # Only the rules that make sense before rendering: the tests apply the service's own rules
        # to generated services. F811: both branches of a condition may define the same name.
        ["-m", "ruff", "check", *RUFF, "--select=B,E4,E7,E9,F,W", "--ignore=F811", TEMPLATE.name],
        ["-m", "ruff", "format", *RUFF, "--check", TEMPLATE.name],
        # Tests, pictures and benchmarks may use modules that Windows doesn't have.
        ["-m", "mypy", "--platform=linux"],
        # Everything that runs when somebody generates a service must work on Windows.
        ["-m", "mypy", "--platform=win32", "dev.py", "hooks", "templates", SETUP],
        ["zizmor", "--quiet", "--offline", "--pedantic", ".github", f"{TEMPLATE.name}/.github"],
    ],
    "lock": [["-m", "tools.lock"]],
    "openapi": [["-m", "tools.openapi"]],
    "benchmark": [["-m", "benchmarks"]],
    "release": [["-m", "tools.release"]],
    "pictures": [["-m", "tools.pictures"]],
}

# Of the variables that steer pip and uv, those that say how an index is reached and where
# the cache is. All others (PIP_TARGET, UV_PROJECT_ENVIRONMENT, ...) would install elsewhere
# or something else.
INSTALLER_VARIABLES = re.compile(
    "(PIP|UV)_.*(CACHE|CERT|CONFIG|CREDENTIALS|EXCLUDE_NEWER|FIND_LINKS|HOST|HTTP|INDEX|KEYRING"
    "|LINK_MODE|OFFLINE|PROXY|RETRIES|TIMEOUT|TLS).*"
)
# With these, a Python that we start would use packages or settings of another environment.
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
    """Return the environment variables for programs that we start, without foreign settings."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN_VARIABLES
        and (not name.startswith(("PIP_", "UV_")) or INSTALLER_VARIABLES.fullmatch(name))
    }
    # Like pip, trust the system's certificates: a company's proxy may have its own.
    env.setdefault("UV_SYSTEM_CERTS", "1")
    # Find the tools of the template's environment first, such as uv.
    env["PATH"] = os.pathsep.join(filter(None, [str(BIN), env.get("PATH")]))
    return env


def run(command: list[str], cwd: Path = ROOT) -> int:
    """Run a command in the foreground, and wait for its end even after Ctrl-C."""
    process = subprocess.Popen(command, cwd=cwd, env=clean_environment())

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the command got Ctrl-C from the terminal as well, and may clean up
    finally:
        signal.signal(signal.SIGTERM, previous)
        if process.poll() is None:
            process.terminate()
            process.wait()


def in_environment(command: list[str]) -> list[str]:
    """Complete a command of COMMANDS: Python gets options, anything else is a program in .venv."""
    if command[0].startswith("-"):
        return [str(PYTHON), *command]
    return [str(BIN / command[0]), *command[1:]]


def fatal(message: str) -> SystemExit:
    """Make the exception that ends a command with this message."""
    return SystemExit(f"dev.py: {message}")


def make_environment() -> None:
    """Make .venv with exactly the packages of requirements.txt, unless it is up to date."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / "dev.py.stamp"
    if stamp.is_file() and stamp.read_text() == wanted and PYTHON.exists():
        return
    if VENV.is_symlink():
        raise fatal(f"{VENV} is a link to another folder. Remove it and try again.")

    print("Preparing .venv, once for this requirements.txt ...", flush=True)
    # Debian and Ubuntu package ensurepip separately, but a pip of the system works as well.
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    if not has_ensurepip and importlib.util.find_spec("pip") is None:
        raise fatal("this Python has neither ensurepip nor pip. Try: apt-get install python3-venv")
    if importlib.util.find_spec("venv") is None:
        raise fatal("this Python has no venv module. Try: apt-get install python3-venv")
    if VENV.exists():
        shutil.rmtree(VENV)
    make = [sys.executable, "-m", "venv", str(VENV)]
    pip = [str(PYTHON), "-m", "pip"]
    if not has_ensurepip:
        make.insert(3, "--without-pip")
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if run(make) != 0:
        raise fatal(".venv could not be made. The reason is above.")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    # The list is complete. Without --no-deps, an old pip looks for other releases of packages
    # that are listed with extras.
    options += ["--no-deps", "--require-hashes"]
    if run([*pip, "install", *options, "-r", str(REQUIREMENTS)]) != 0:
        raise fatal(
            "the requirements could not be installed. The reason is above. "
            "Run the command again when the package index is reachable."
        )
    stamp.write_text(wanted)


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 -- an older Python may start this file
        version = ".".join(str(part) for part in sys.version_info[:3])
        raise fatal(f"Python 3.11 or newer is required, but this is {version} ({sys.executable}).")
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
