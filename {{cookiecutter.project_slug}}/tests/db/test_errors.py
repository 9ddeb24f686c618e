"""Errors of either database become errors of the domain, whichever of them this service uses."""

import sqlite3
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import UniqueConstraint, column, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import EmailTakenError, UnavailableError
from app.crud.user import add_user
from app.db.base import Base
from app.db.errors import (
    UNIQUE_ERRORS,
    describe_db_error,
    exit_on_db_error,
    translate_db_error,
)
from app.db.session import Database
from app.models.user import User
from tests.support import make_user

# Constraints that no client can violate, so that a violation is a bug.
UNREACHABLE = {
    "uq_refresh_tokens_token_hash",  # of a random token
}


class Diagnostics:
    """The parts of a server's error that the translation looks at."""

    def __init__(self, message: str | None, constraint: str | None) -> None:
        self.message_primary = message
        self.constraint_name = constraint


def postgres_error(
    sqlstate: str | None, constraint: str | None = None, message: str | None = None
) -> Exception:
    """Build an error of psycopg as for an error of the server."""
    kind = psycopg.errors.lookup(sqlstate) if sqlstate else psycopg.OperationalError
    diagnostics = Diagnostics(message, constraint)
    error = type("Fake", (kind,), {"diag": diagnostics, "sqlstate": sqlstate})("details")
    assert isinstance(error, psycopg.Error)
    return error


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("details")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "cause",
    [
        postgres_error("23505", "uq_users_email"),
        sqlite3.IntegrityError("UNIQUE constraint failed: users.email"),
    ],
)
def test_listed_unique_violation_becomes_its_error(cause: Exception) -> None:
    assert isinstance(translate_db_error(IntegrityError("INSERT", {}, cause)), EmailTakenError)


@pytest.mark.parametrize(
    "cause",
    [
        postgres_error("23505", "uq_unlisted_number"),
        postgres_error("23503", "uq_users_email"),
        sqlite3.IntegrityError("UNIQUE constraint failed: orders.customer, orders.number"),
        sqlite3.IntegrityError("FOREIGN KEY constraint failed"),
    ],
)
def test_other_integrity_error_is_a_bug(cause: Exception) -> None:
    assert translate_db_error(IntegrityError("INSERT", {}, cause)) is None


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT", {}, Exception()),
        OperationalError("SELECT", {}, sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT)),
        DBAPIError("SELECT", {}, postgres_error("57014")),
        DBAPIError("SELECT", {}, postgres_error("53300")),
        DBAPIError("SELECT", {}, postgres_error("25006")),
        DBAPIError("SELECT", {}, postgres_error("42P01")),  # not migrated yet
        OperationalError("SELECT", {}, sqlite3.OperationalError("no such table: users")),
        OperationalError("UPDATE", {}, sqlite_error(sqlite3.SQLITE_READONLY)),
        DBAPIError("SELECT", {}, Exception(), connection_invalidated=True),
        PoolTimeoutError(),
        psycopg.OperationalError(),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
)
def test_transient_error_means_unavailable(error: Exception) -> None:
    assert isinstance(translate_db_error(error), UnavailableError)


@pytest.mark.parametrize(
    "error",
    [
        DBAPIError("SELECT", {}, Exception()),
        DBAPIError("SELECT", {}, postgres_error("42703")),  # no such column
        OperationalError(
            "SELECT", {}, sqlite_error(sqlite3.SQLITE_ERROR)
        ),  # such as: no such column
        # Raised by Python, without a code.
        DBAPIError("SELECT", {}, sqlite3.ProgrammingError("Incorrect number of bindings")),
        ValueError(),
        FileNotFoundError(),
    ],
)
def test_any_other_error_is_a_bug(error: Exception) -> None:
    assert translate_db_error(error) is None


NEVER_MIGRATED = "the database was never migrated, run `alembic upgrade head`: "


@pytest.mark.parametrize(
    ("error", "line"),
    [
        # The parts that libpq adds can hold values of rows.
        (postgres_error("25006", message="cannot do it"), "cannot do it (SQLSTATE 25006)"),
        (
            postgres_error("42P01", message='relation "users" does not exist'),
            NEVER_MIGRATED + 'relation "users" does not exist (SQLSTATE 42P01)',
        ),
        (sqlite3.OperationalError("no such table: users"), NEVER_MIGRATED + "no such table: users"),
        # libpq doesn't tell the SQLSTATE of a connection that fails.
        (
            psycopg.OperationalError('FATAL:  password authentication failed for user "u"\n'),
            'FATAL: password authentication failed for user "u" (SQLSTATE 28P01)',
        ),
        (
            psycopg.OperationalError('FATAL:  database "n" does not exist'),
            'FATAL: database "n" does not exist (SQLSTATE 3D000)',
        ),
        (psycopg.OperationalError("no route\n\tto host"), "no route to host"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_reason_is_one_line(error: Exception, line: str) -> None:
    assert describe_db_error(error) == line
    wrapped = DBAPIError("SELECT", {"password": "hidden"}, error)
    assert describe_db_error(wrapped) == line


def test_command_ends_with_the_reason() -> None:
    error = OperationalError("SELECT", {}, postgres_error("57P03", message="starting up"))
    for raised in (error, translate_db_error(error)):
        assert raised
        with pytest.raises(SystemExit) as caught, exit_on_db_error():
            raise raised
        reason = "The database can't be used: starting up (SQLSTATE 57P03)"
        assert caught.value.code == reason


@pytest.mark.parametrize(
    "error", [LookupError(), UnavailableError(retry_after=1), EmailTakenError()]
)
def test_command_keeps_other_errors(error: Exception) -> None:
    with pytest.raises(type(error)), exit_on_db_error():
        raise error


def unique_constraints() -> Iterator[tuple[str, str]]:
    """List the name of each unique constraint, and the name that the convention gives it."""
    for table in Base.metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                columns = (column.name for column in constraint.columns)
                yield str(constraint.name), "_".join(["uq", table.name, *columns])


def test_every_unique_constraint_is_listed_or_unreachable() -> None:
    names = {name for name, _ in unique_constraints()}
    missing = names - UNREACHABLE - set(UNIQUE_ERRORS)
    assert not missing, (
        f"add {missing} to UNIQUE_ERRORS in app/db/errors.py, with the error that the client gets; "
        "if no request can violate it, to UNREACHABLE in tests/db/test_errors.py"
    )
    assert not UNREACHABLE & set(UNIQUE_ERRORS)
    assert names == UNREACHABLE | set(UNIQUE_ERRORS), "a listed constraint doesn't exist any more"


def test_unique_constraints_are_named_by_the_convention() -> None:
    """SQLite doesn't tell the name, so that it is made from table and columns."""
    assert [name for name, by_convention in unique_constraints() if name != by_convention] == []


async def test_unique_violation_is_raised_where_a_service_can_catch_it(database: Database) -> None:
    async with database.session.begin() as session:
        await add_user(session, make_user())
        with pytest.raises(EmailTakenError) as caught:
            async with session.begin_nested():
                await add_user(session, make_user())
        # The transaction goes on.
        await add_user(session, make_user("bob@example.com"))
    assert "email" in str(caught.value.__cause__)  # the database's own message, for the log
    async with database.session() as reader:
        emails = await reader.scalars(select(User.email).order_by(User.email))
        assert emails.all() == ["ada@example.com", "bob@example.com"]


async def test_unique_violation_at_the_commit_is_translated_too(database: Database) -> None:
    with pytest.raises(EmailTakenError):
        async with database.session.begin() as session:
            session.add_all([make_user(), make_user()])


async def test_bug_keeps_its_own_type(database: Database) -> None:
    async with database.session() as reader:
        with pytest.raises(DBAPIError):
            await reader.scalar(select(column("nothing")))
