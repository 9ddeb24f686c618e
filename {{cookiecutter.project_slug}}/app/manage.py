"""Administration from a terminal: `python -m app.manage --help`."""

import argparse
import getpass
import io
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from pydantic import SecretStr, ValidationError

from app.core.config import Settings, SettingsError, get_settings
from app.core.event_loop import run
from app.core.exceptions import (
    AppError,
    EmailTakenError,
    InvalidInputError,
    NotASuperuserError,
)
from app.core.passwords import PasswordHasher, PasswordPolicy
from app.core.validation import describe_error
from app.db.backup import back_up, restore
from app.db.errors import exit_on_db_error
from app.db.session import Database, database_url
from app.schemas.types import parse_email
from app.schemas.user import Credentials, UserCreate
from app.services.account_mail import Outbox
from app.services.cleanup_service import CleanupService
from app.services.doctor_service import Finding, diagnose
from app.services.user_service import UserService
from app.utils.rate_limit import RateLimits


@asynccontextmanager
async def _user_service(settings: Settings) -> AsyncIterator[UserService]:
    async with Database.open(settings) as database, database.session.begin() as session:
        hasher = PasswordHasher(PasswordPolicy.from_settings(settings))
        # Nobody sends this outbox: commands send no verification mail.
        yield UserService(
            session, database.read_session, settings, hasher, RateLimits(settings), Outbox()
        )


async def create_first_superuser(settings: Settings) -> bool:
    """Create the superuser of the settings. Return False if it exists already.

    Raises SettingsError when FIRST_SUPERUSER_EMAIL or FIRST_SUPERUSER_PASSWORD is missing or
    rejected, or the address has an account without rights.
    """
    email, password = settings.first_superuser_email, settings.first_superuser_password
    if email is None or password is None:
        raise SettingsError("FIRST_SUPERUSER_EMAIL and FIRST_SUPERUSER_PASSWORD are needed.")
    try:
        new = UserCreate(email=email, password=password)
        async with _user_service(settings) as users:
            return await users.ensure_superuser(new)
    except EmailTakenError:
        return False  # another process was first
    except NotASuperuserError as error:
        raise SettingsError(f"FIRST_SUPERUSER_EMAIL: {error}") from None
    except (ValidationError, InvalidInputError) as error:
        problems = explain(error).items()
        lines = [f"FIRST_SUPERUSER_{name.upper()}: {text}" for name, text in problems]
        raise SettingsError("\n".join(lines)) from None


async def create_superuser(settings: Settings, email: str) -> str:
    new = UserCreate(email=email, password=_ask_password())
    async with _user_service(settings) as users:
        if not await users.ensure_superuser(new):
            raise EmailTakenError
    return f"{new.email} is a superuser now."


async def make_superuser(settings: Settings, email: str) -> str:
    async with _user_service(settings) as users:
        await users.make_superuser(parse_email(email) or email)
    return f"{email} is a superuser now."


async def reset_password(settings: Settings, email: str) -> str:
    given = Credentials(email=email, password=_ask_password())
    async with _user_service(settings) as users:
        await users.set_password(given.email, given.password.get_secret_value())
    return f"{given.email} has a new password, and all sessions of the account are revoked."


async def clean_up(settings: Settings) -> str:
    async with Database.open(settings) as database:
        cleanup = CleanupService(database)
        sessions = await cleanup.delete_finished_user_sessions()
        tokens = await cleanup.delete_expired_used_tokens()
    return f"Deleted {sessions} finished sessions and {tokens} expired refresh tokens."


def make_backup(settings: Settings, path: Path) -> str:
    with database_url(settings) as url:
        back_up(url, path)
    return f"Wrote {path} ({path.stat().st_size / 1_000_000:.1f} MB)."


def restore_backup(settings: Settings, path: Path) -> str:
    with database_url(settings) as url:
        restore(url, path)
    return f"Restored {path}."


async def doctor(*, as_json: bool) -> tuple[str, int]:
    """Return a report and the exit status, which is 1 if there is an error."""
    try:
        findings = await diagnose(get_settings())
    except SettingsError as error:
        findings = [Finding("settings", "error", str(error), "Correct the settings")]
    has_error = any(finding.level == "error" for finding in findings)
    if as_json:
        listed = [asdict(finding) for finding in findings]
        report = json.dumps({"ok": not has_error, "findings": listed}, indent=2)
    else:
        report = "\n".join(_describe(finding) for finding in findings)
    return report, int(has_error)


def _describe(finding: Finding) -> str:
    line = f"{finding.level:8} {finding.subject:12} {finding.text}"
    return f"{line}\n{'fix:':>26} {finding.fix}" if finding.fix else line


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.manage", description="Administration.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "create-superuser": "create an account with all rights; asks for the password",
        "make-superuser": "give all rights to an existing account",
        "reset-password": "set an account's password, which it asks for, and revoke its sessions",
    }.items():
        commands.add_parser(name, help=text).add_argument("email")
    commands.add_parser("clean-up", help="delete finished sessions; schedule it once a day")
    for name, text in {
        "backup": "write the whole database to a new file, while the service runs",
        "restore": "fill an empty database from such a file",
    }.items():
        commands.add_parser(name, help=text).add_argument("path", type=Path)
    doctor_parser = commands.add_parser(
        "doctor", help="check everything that the service depends on; exit status 1 for an error"
    )
    doctor_parser.add_argument("--json", action="store_true", help="write the findings as JSON")
    return parser.parse_args(arguments)


def _ask_password() -> SecretStr:
    try:
        password = _read_password()
        password.encode()
    except UnicodeError:
        raise InvalidInputError("is not valid UTF-8", field="password") from None
    if not password:
        raise InvalidInputError(
            "is needed: type it on a terminal, or write it to standard input", field="password"
        )
    return SecretStr(password)


def _read_password() -> str:
    """Read a password from the terminal without showing it, or from a line of standard input."""
    if sys.stdin is None:  # closed
        return ""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != password:
        raise InvalidInputError("differs from the first one", field="password")
    return password


def _run(options: argparse.Namespace) -> tuple[str, int]:
    """Return what to print, and the exit status."""
    if options.command == "doctor":
        return run(doctor(as_json=options.json))
    settings = get_settings()
    if options.command == "backup":
        return make_backup(settings, options.path), 0
    if options.command == "restore":
        return restore_backup(settings, options.path), 0
    if options.command == "clean-up":
        return run(clean_up(settings)), 0
    actions = {
        "create-superuser": create_superuser,
        "make-superuser": make_superuser,
        "reset-password": reset_password,
    }
    return run(actions[options.command](settings, options.email)), 0


def explain(error: Exception) -> dict[str, str]:
    """Map field names to what is wrong with them, for errors that the user can fix.

    The name is empty for a problem that concerns no single field; the result is empty for bugs.
    """
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False)
        return {str(problem["loc"][0]): describe_error(problem) for problem in problems}
    if isinstance(error, InvalidInputError):
        return {error.field: str(error)}
    return {"": str(error)} if isinstance(error, AppError) else {}


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        with exit_on_db_error():
            message, status = _run(_parse(arguments))
    except (KeyboardInterrupt, EOFError):
        return 130
    except Exception as error:
        if not (problems := explain(error)):
            raise
        for name, text in problems.items():
            sys.stderr.write(f"{name}: {text}\n" if name else f"{text}\n")
        return 1
    _print(message)
    return status


def _print(message: str) -> None:
    """Write the outcome. The command has succeeded, even if nobody can read that any more."""
    try:
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()
    except OSError:
        # Python would try again at its exit, and fail with a traceback.
        sys.stdout = io.StringIO()


if __name__ == "__main__":
    sys.exit(main())
