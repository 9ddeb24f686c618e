"""What a database's error means to the client."""

import re

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import AppError, UnavailableError

_UNIQUE_VIOLATION = "23505"
# Classes of SQLSTATE that pass: the connection is lost (08), the transaction lost against another
# one (40) or sat idle (25P), the server has no resources (53), a lock is taken (55P), the server
# stops, starts or gave up the statement (57).
_PASSING = ("08", "40", "25P", "53", "55P", "57")
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


def _subclasses(cls: type[AppError]) -> list[type[AppError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in _subclasses(child))]


def to_app_error(error: Exception) -> AppError | None:
    """The domain error for an error of the database; None when it is a bug of ours."""
    if isinstance(error, IntegrityError):
        name = _violated_constraint(error)
        known = {kind.constraint: kind for kind in _subclasses(AppError) if kind.constraint}
        return known[name]() if name in known else None
    if isinstance(error, DBAPIError):
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        passes = error.connection_invalidated or sqlstate.startswith(_PASSING)
        passes = passes or isinstance(error, OperationalError | InterfaceError)
    else:
        passes = isinstance(error, PoolTimeoutError | OSError)
    return UnavailableError(retry_after=1) if passes else None
