"""Administration from a terminal: `python -m app.manage --help`."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import ValidationError

from app.core.config import Settings, get_settings
from app.core.exceptions import AppError, EmailTakenError, InvalidInputError
from app.core.passwords import PasswordHasher
from app.db.errors import translate_db_error
from app.db.session import Database
from app.schemas.types import parse_email
from app.schemas.user import UserCreate
from app.services.cleanup_service import CleanupService
from app.services.user_service import UserService


@asynccontextmanager
async def _users(settings: Settings) -> AsyncIterator[UserService]:
    async with Database.open(settings) as database, database.session.begin() as session:
        yield UserService(session, settings, PasswordHasher())


async def create_superuser(settings: Settings, email: str) -> str:
    new = UserCreate.model_validate({"email": email, "password": _ask_password()})
    async with _users(settings) as users:
        if not await users.ensure_superuser(new):
            raise EmailTakenError
    return f"{new.email} is a superuser now."


async def make_superuser(settings: Settings, email: str) -> str:
    async with _users(settings) as users:
        await users.make_superuser(parse_email(email) or email)
    return f"{email} is a superuser now."


async def reset_password(settings: Settings, email: str) -> str:
    given = UserCreate.model_validate({"email": email, "password": _ask_password()})
    async with _users(settings) as users:
        await users.set_password(given.email, given.password.get_secret_value())
    return f"{given.email} has the new password, and every login of the account has ended."


async def clean_up(settings: Settings) -> str:
    async with Database.open(settings) as database:
        cleanup = CleanupService(database)
        user_sessions = await cleanup.delete_finished_user_sessions()
        tokens = await cleanup.delete_expired_spent_tokens()
    return f"Deleted {user_sessions} finished sessions and {tokens} expired refresh tokens."


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.manage", description="Administration.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "create-superuser": "make a new account with all rights; asks for its password",
        "make-superuser": "give all rights to an account that exists",
        "reset-password": "set the password of an account, and end its logins; asks for it",
    }.items():
        commands.add_parser(name, help=text).add_argument("email")
    commands.add_parser("clean-up", help="delete finished logins; for a scheduler, once a day")
    return parser.parse_args(arguments)


def _ask_password() -> str:
    """From the terminal without showing it, or one line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != password:
        raise InvalidInputError("was not the same twice", field="password")
    return password


def _run(options: argparse.Namespace) -> str:
    settings = get_settings()
    if options.command == "clean-up":
        return asyncio.run(clean_up(settings))
    actions = {
        "create-superuser": create_superuser,
        "make-superuser": make_superuser,
        "reset-password": reset_password,
    }
    return asyncio.run(actions[options.command](settings, options.email))


def _explain(error: Exception) -> list[str]:
    """What a person can do something about. Empty for a bug of ours."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False)
        return [f"{p['loc'][0]}: {p['msg'].removeprefix('Value error, ')}" for p in problems]
    if isinstance(error, InvalidInputError):
        return [f"{error.field}: {error}"]
    known = error if isinstance(error, AppError) else translate_db_error(error)
    return [str(known)] if known else []


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        message = _run(_parse(arguments))
    except (KeyboardInterrupt, EOFError):
        return 130
    except Exception as error:
        if not (lines := _explain(error)):
            raise
        sys.stderr.writelines(f"{line}\n" for line in lines)
        return 1
    sys.stdout.write(f"{message}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
