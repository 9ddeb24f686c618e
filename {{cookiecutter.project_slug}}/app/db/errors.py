"""Translates database errors into domain errors (app/core/exceptions.py) and into lines of the log."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import AppError, EmailTakenError, UnavailableError

# One line for each unique constraint that a client can violate: its name, and the error that
# `flush()` raises then. A service that catches it flushes within `session.begin_nested()`, since a
# failed flush ends the transaction. A violation of any other constraint is a bug and answers 500.
UNIQUE_ERRORS: dict[str, type[AppError]] = {
    "uq_users_email": EmailTakenError,
}

_UNIQUE_VIOLATION = "23505"
_UNDEFINED_TABLE = "42P01"
_READ_ONLY = "25006"
# SQLSTATE classes of transient errors: a lost connection (08), a server that has become read-only
# (25006), a transaction that was idle for too long (25P), a deadlock or serialisation failure (40),
# a server without resources (53), a lock that is taken (55P), and a server that starts, stops or has
# cancelled the statement (57). A missing table appears with the migration.
TRANSIENT_SQLSTATES = ("08", _READ_ONLY, "25P", "40", _UNDEFINED_TABLE, "53", "55P", "57")
# After these, the next connection may reach another server: the new primary after a failover.
_RECONNECT_SQLSTATES = ("08", _READ_ONLY, "57P")
_TRANSIENT_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (.+)")
_SQLITE_NO_TABLE = "no such table: "

# libpq doesn't tell the SQLSTATE of a connection that fails.
_CONNECTION_SQLSTATES = {
    r"password authentication failed": "28P01",
    r"no pg_hba\.conf entry|role \".*\" does not exist": "28000",
    r"database \".*\" does not exist": "3D000",
    r"too many (clients|connections)|remaining connection slots": "53300",
    r"the database system is": "57P03",
    r"unsupported startup parameter": "08P01",
    r"session is read-only|server is in hot standby mode": _READ_ONLY,
}


def translate_db_error(error: BaseException) -> AppError | None:
    """Return the domain's error for *error*, or None if *error* is a bug.

    The engine calls it for every error of a statement, so code that executes one gets the
    translated error. Errors of the pool are translated where sessions are opened.
    """
    if isinstance(error, IntegrityError):
        unique_error = UNIQUE_ERRORS.get(_violated_unique_constraint(error) or "")
        return unique_error() if unique_error else None
    if isinstance(error, DBAPIError):
        is_transient = error.connection_invalidated or _is_transient(error)
    else:
        is_transient = isinstance(
            error, PoolTimeoutError | ConnectionError | TimeoutError | psycopg.OperationalError
        )
    return (
        UnavailableError(retry_after=1, reason=describe_db_error(error)) if is_transient else None
    )


def needs_new_connection(error: BaseException | None) -> bool:
    """Check whether the connection is of no more use, although it may still be open."""
    return (getattr(error, "sqlstate", None) or "").startswith(_RECONNECT_SQLSTATES)


def describe_db_error(error: BaseException) -> str:
    """Describe an error in one line: the server's own message, its SQLSTATE and the remedy.

    The message can name users, hosts and databases, but holds no password. Details, which can hold
    values of rows, are left out.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    message = str(cause.args[0] if cause.args else "") or type(cause).__name__
    sqlstate = None
    if isinstance(cause, psycopg.Error):
        message = cause.diag.message_primary or message
        sqlstate = cause.sqlstate or next(
            (code for text, code in _CONNECTION_SQLSTATES.items() if re.search(text, message)), None
        )
    message = " ".join(message.split())
    if sqlstate:
        message += f" (SQLSTATE {sqlstate})"
    if sqlstate == _UNDEFINED_TABLE or message.startswith(_SQLITE_NO_TABLE):
        message = f"the database was never migrated, run `alembic upgrade head`: {message}"
    return message


@contextmanager
def exit_on_db_error() -> Iterator[None]:
    """End a command with one line if the database can't be used. Bugs keep their traceback."""
    try:
        yield
    except Exception as error:
        if (reason := unavailable_reason(error)) is None:
            raise
        raise SystemExit(f"The database can't be used: {reason}") from None


def unavailable_reason(error: Exception) -> str | None:
    """Return why the database can't be used, or None if *error* is something else."""
    unavailable = error if isinstance(error, UnavailableError) else translate_db_error(error)
    return unavailable.reason if isinstance(unavailable, UnavailableError) else None


def _violated_unique_constraint(error: IntegrityError) -> str | None:
    if isinstance(error.orig, psycopg.Error):
        is_unique_violation = error.orig.sqlstate == _UNIQUE_VIOLATION
        return error.orig.diag.constraint_name if is_unique_violation else None
    if match := _SQLITE_COLUMNS.search(str(error.orig)):
        # SQLite names the columns ("users.email"); the naming convention makes the constraint's
        # name from them.
        table, *_ = match[1].split(".")
        columns = [column.rpartition(".")[2] for column in match[1].split(", ")]
        return "_".join(["uq", table, *columns])
    return None


def _is_transient(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        # Its operational errors include bugs, such as an unknown column. The low byte is the
        # primary result code; errors that Python itself raises have none.
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        return code in _TRANSIENT_SQLITE_CODES or str(error.orig).startswith(_SQLITE_NO_TABLE)
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return sqlstate.startswith(TRANSIENT_SQLSTATES) or isinstance(
        error, OperationalError | InterfaceError
    )
