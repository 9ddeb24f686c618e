"""The checkout that is set up: its paths, and how tools are run in it.

Only for setup_environment.py, and like that for the standard library of any Python 3.8.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WINDOWS = os.name == "nt"
SHORTEST_SECRET = 8  # shorter ones are switches (`PASSWORD_RESET=on`)
SECONDS_TO_HEAR = 2
SECONDS_TO_STOP = 10

# Settings of the caller's Python, pip, uv, git and server would change what is set up, or where.
# Those that say how an index or a cache is reached, and who commits, are kept.
FOREIGN_PREFIXES = ("ALEMBIC_", "GIT_", "PIP_", "PYTHON", "UVICORN_", "UV_")
FOREIGN_VARIABLES = frozenset(
    ["CLICOLOR_FORCE", "FORCE_COLOR", "VIRTUAL_ENV", "WEB_CONCURRENCY", "__PYVENV_LAUNCHER__"]
)
KEPT_VARIABLES = re.compile(
    r"""GIT_(AUTHOR|COMMITTER|CONFIG|CEILING)_.+
      | PIP_(CACHE_DIR|CERT|CLIENT_CERT|CONFIG_FILE|DEFAULT_TIMEOUT|EXTRA_INDEX_URL|FIND_LINKS
            |INDEX_URL|KEYRING_PROVIDER|NO_CACHE_DIR|NO_INDEX|PROXY|RETRIES|TIMEOUT|TRUSTED_HOST)
      | UV_(CACHE_DIR|CONFIG_FILE|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|HTTP_.+|INDEX|INDEX_.+
           |INSECURE_HOST|KEYRING_PROVIDER|LINK_MODE|NATIVE_TLS|NO_CACHE|NO_CONFIG|NO_INDEX
           |OFFLINE|REQUEST_TIMEOUT|SYSTEM_CERTS)""",
    re.VERBOSE,
)

# What the output of a tool says about why it failed; the most telling first.
CAUSES = {
    r"no space left|disk is full|quota exceeded": "no space is left on the disk",
    r"ensurepip is not|no module named '?(ensurepip|venv)\b": (
        "this Python can't make virtual environments; install uv, or the package that is missing "
        "(on Debian and Ubuntu: python3-venv)"
    ),
    r"hash mismatch|do not match the hashes": (
        "a package is not the one that was locked: its hash differs"
    ),
    r"read-only file ?system": "the disk is read-only",
    r"permission denied|access is denied": "a file may not be read or written",
}


class Skipped(Exception):  # noqa: N818 - not an error
    """A step has a reason not to do anything."""


class Failed(Exception):  # noqa: N818 - reads better: `raise Failed`
    """A step can't be done; the message is for a person."""


class Child(NamedTuple):
    process: subprocess.Popen[bytes]
    file: IO[bytes]

    def output(self) -> str:
        self.file.seek(0)
        return self.file.read().decode("utf-8", "replace")


class Checkout:
    """The checkout that is set up, and how tools are run in it."""

    def __init__(self, root: Path) -> None:
        scripts, suffix = ("Scripts", ".exe") if WINDOWS else ("bin", "")
        self.root = root
        self.env_file = root / ".env"
        self.venv = root / ".venv"
        self.scripts = self.venv / scripts
        self.python = self.scripts / f"python{suffix}"
        self.var = root / "var"
        self.log_file = self.var / "setup.log"
        self.has_log = False
        self.shadowing = shadowing_variables(root / "example.env", os.environ)
        self.environment = clean_environment(os.environ, self.shadowing)
        self.uv = shutil.which("uv")
        self.installer = "uv" if self.uv else "pip"

    def log(self, text: str) -> None:
        """Add to the log of this run. A log that can't be written stops nothing."""
        with contextlib.suppress(OSError):
            if not self.has_log:
                self.var.mkdir(exist_ok=True)
                replace_privately(self.log_file, self.var / "log.draft", b"")
                self.has_log = True
            # A path need not be UTF-8.
            with self.log_file.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(self.redact(text).replace("\0", "\n") + "\n")

    def secrets(self) -> list[str]:
        """List the values of .env that only its owner may see."""
        try:
            text = self.env_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        pattern = r"^\w*(?:KEY|PASSWORD|SECRET|TOKEN)\w* *= *['\"]?([^'\"\s]+)"
        values = (str(value) for value in re.findall(pattern, text, re.MULTILINE))
        return [value for value in values if len(value) >= SHORTEST_SECRET]

    def redact(self, text: str) -> str:
        for value in self.secrets():
            text = text.replace(value, "***")
        return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)  # passwords in addresses

    def run(
        self,
        *arguments: object,
        cwd: Path | None = None,
        causes: Mapping[str, str] = CAUSES,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command to its end and return what it printed."""
        with self.started(*arguments, cwd=cwd, environment=environment) as child:
            status = child.process.wait()
            output = child.output()
        if status:
            raise Failed(explain(self.redact(output), causes))
        return output

    @contextlib.contextmanager
    def started(
        self,
        *arguments: object,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Child]:
        """Start a command; whatever happens, it is ended and its output is in the log.

        The output goes to a file, not through a pipe: a server that the command leaves running
        would hold a pipe open.
        """
        command = [str(argument) for argument in arguments]
        began = time.monotonic()
        with tempfile.TemporaryFile() as file:
            process = subprocess.Popen(
                command,
                cwd=cwd or self.root,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            child = Child(process, file)
            try:
                yield child
            except KeyboardInterrupt:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(SECONDS_TO_HEAR)  # the terminal has told the command as well
                raise
            finally:
                stop(process)
                end = f"(status {process.returncode}, {time.monotonic() - began:.1f} s)"
                self.log(f"$ {quote(command)}\n{child.output().rstrip()}\n{end}\n")

    def discard(self, path: Path) -> None:
        """Remove a folder; it goes elsewhere first, so that half of it never passes for a whole."""
        rubbish = self.var / "rubbish"
        for folder in (rubbish, path):
            if folder.exists():
                self.var.mkdir(exist_ok=True)
                folder.replace(rubbish)
                for file in rubbish.rglob("*") if WINDOWS else ():
                    file.chmod(stat.S_IWRITE)  # git's files are read-only, which Windows minds
                shutil.rmtree(rubbish)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started: with a request first, then by force."""
    try:
        if process.poll() is None:
            # On Windows, SIGTERM ends a process by force.
            process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
            process.wait(SECONDS_TO_STOP)
    except (OSError, subprocess.TimeoutExpired):  # OSError: on Windows, without a console
        pass
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def shadowing_variables(example: Path, environ: Mapping[str, str]) -> list[str]:
    """Name the variables that would override .env; as a rule, they belong to another project."""
    try:
        text = example.read_text(encoding="utf-8")
    except OSError:
        return []
    settings = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE))
    return sorted(name for name in environ if name.upper() in settings)


def clean_environment(environ: Mapping[str, str], shadowing: Sequence[str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environ.items()
        if name not in FOREIGN_VARIABLES.union(shadowing)
        and (not name.startswith(FOREIGN_PREFIXES) or KEPT_VARIABLES.fullmatch(name))
    }
    # UV_SYSTEM_CERTS: pip trusts the certificates of the system, those of a company among them.
    # PIP_USER: over a configuration file that says otherwise.
    return {
        "UV_SYSTEM_CERTS": "1",
        **kept,
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
        "PIP_USER": "0",
    }


def explain(output: str, causes: Mapping[str, str] = CAUSES) -> str:
    """Give the cause, if it is a known one, and those lines of the output that tell most."""
    # Bullets and frames that tools draw before a line are no part of it.
    lines = [re.sub(r"^[^\w'\"`/(\[<.-]+", "", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Traceback ")]
    for pattern, cause in causes.items():
        for at, line in reversed([*enumerate(lines)]):
            if re.search(pattern, line, re.IGNORECASE):
                return f"{cause} ({shorten(' '.join(lines[at : at + 2]))})"
    return shorten(" ".join(lines[-2:])) or "it ended without a message"


def shorten(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[:length]} ..."


def quote(command: Sequence[object]) -> str:
    words = [str(word) for word in command]
    return subprocess.list2cmdline(words) if WINDOWS else " ".join(map(quote_word, words))


def quote_word(word: str) -> str:
    """Quote a word for a shell, so that it can be printed and copied whatever bytes it has."""
    if word.isprintable():
        return shlex.quote(word)
    ordinary = set(range(0x20, 0x7F)) - set(b"'\\")
    text = (chr(byte) if byte in ordinary else f"\\{byte:03o}" for byte in os.fsencode(word))
    return f"$'{''.join(text)}'"


def replace_privately(path: Path, draft: Path, content: bytes) -> None:
    """Write a file in one go that, not even for a moment, can be read by others."""
    if draft.exists():
        draft.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(draft, flags, stat.S_IRUSR | stat.S_IWUSR), "wb") as file:
        file.write(content)
    draft.replace(path)
