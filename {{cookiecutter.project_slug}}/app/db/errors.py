"""Translates database errors into domain errors (app/core/exceptions.py)."""

import re
import sqlite3

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
# SQLSTATE classes of transient errors: a lost connection (08), a deadlock or serialisation failure
# (40), a transaction that was idle for too long (25P), a server without resources (53), a lock that
# is taken (55P), and a server that starts, stops or has cancelled the statement (57).
TRANSIENT_SQLSTATES = ("08", "40", "25P", "53", "55P", "57")
_TRANSIENT_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (.+)")


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
        is_transient = isinstance(error, PoolTimeoutError | ConnectionError | TimeoutError)
    return UnavailableError(retry_after=1) if is_transient else None


def _violated_unique_constraint(error: IntegrityError) -> str | None:
    if getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
        return getattr(error.driver_exception, "constraint_name", None)
    if match := _SQLITE_COLUMNS.search(str(error.orig)):
        # SQLite names the columns ("users.email"); the naming convention makes the constraint's
        # name from them.
        table, *_ = match[1].split(".")
        columns = [column.rpartition(".")[2] for column in match[1].split(", ")]
        return "_".join(["uq", table, *columns])
    return None


def _is_transient(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        # Its operational errors include bugs, such as a missing table. The low byte is the
        # primary result code; errors that Python itself raises have none.
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT_SQLITE_CODES
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return sqlstate.startswith(TRANSIENT_SQLSTATES) or isinstance(
        error, OperationalError | InterfaceError
    )
