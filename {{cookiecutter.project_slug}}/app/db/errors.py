"""What a database's error means to the client."""

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import AppError, UnavailableError

_UNIQUE_VIOLATION = "23505"
# Classes of SQLSTATE that pass: the connection is lost (08), the transaction lost against another
# one (40) or sat idle (25P), the server has no resources (53), a lock is taken (55P), the server
# stops, starts or gave up the statement (57).
_TRANSIENT_SQLSTATES = ("08", "40", "25P", "53", "55P", "57")
_TRANSIENT_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (.+)")


def _violated_constraint(error: IntegrityError) -> str | None:
    """The name of the unique constraint that was violated, None if it was not a unique one."""
    cause = error.orig.__cause__ if error.orig else None
    if getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
        return getattr(cause, "constraint_name", None)
    if match := _SQLITE_COLUMNS.search(str(error.orig)):
        # SQLite names the columns ("users.email"), from which the naming convention makes the name.
        table, *_ = match[1].split(".")
        columns = [column.rpartition(".")[2] for column in match[1].split(", ")]
        return "_".join(["uq", table, *columns])
    return None


def translate_db_error(error: Exception) -> AppError | None:
    """The domain error for an error of the database; None when it is a bug of ours."""
    if isinstance(error, IntegrityError):
        known = AppError.by_constraint.get(_violated_constraint(error) or "")
        return known() if known else None
    if isinstance(error, DBAPIError):
        passes = error.connection_invalidated or _is_transient(error)
    else:
        passes = isinstance(error, PoolTimeoutError | ConnectionError | TimeoutError)
    return UnavailableError(retry_after=1) if passes else None


def _is_transient(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        # Its operational errors are of all kinds, a missing table among them. The low byte is the
        # primary result code; errors that Python itself raises have none.
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT_SQLITE_CODES
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return sqlstate.startswith(_TRANSIENT_SQLSTATES) or isinstance(
        error, OperationalError | InterfaceError
    )
