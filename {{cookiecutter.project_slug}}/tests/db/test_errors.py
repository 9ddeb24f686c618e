"""What errors of either database mean, whichever of them this service uses."""

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import EmailTakenError, UnavailableError
from app.db.errors import translate_db_error


def postgres_error(sqlstate: str, constraint: str) -> Exception:
    """Build an error as SQLAlchemy's asyncpg dialect raises it."""
    cause = Exception("details")
    cause.constraint_name = constraint  # type: ignore[attr-defined]  # as asyncpg does
    error = Exception("translated")
    error.sqlstate = sqlstate  # type: ignore[attr-defined]  # as the dialect does
    error.__cause__ = cause
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
def test_known_unique_violation(cause: Exception) -> None:
    assert isinstance(translate_db_error(IntegrityError("INSERT", {}, cause)), EmailTakenError)


@pytest.mark.parametrize(
    "cause",
    [
        postgres_error("23505", "uq_orders_number"),
        postgres_error("23503", "uq_users_email"),
        sqlite3.IntegrityError("UNIQUE constraint failed: orders.customer, orders.number"),
        sqlite3.IntegrityError("FOREIGN KEY constraint failed"),
    ],
)
def test_other_integrity_errors_are_bugs(cause: Exception) -> None:
    assert translate_db_error(IntegrityError("INSERT", {}, cause)) is None


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT", {}, Exception()),
        OperationalError("SELECT", {}, sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT)),
        DBAPIError("SELECT", {}, postgres_error("57014", "")),
        DBAPIError("SELECT", {}, postgres_error("53300", "")),
        DBAPIError("SELECT", {}, Exception(), connection_invalidated=True),
        PoolTimeoutError(),
        ConnectionRefusedError(),
    ],
)
def test_lost_database(error: Exception) -> None:
    assert isinstance(translate_db_error(error), UnavailableError)


@pytest.mark.parametrize(
    "error",
    [
        DBAPIError("SELECT", {}, Exception()),
        OperationalError(
            "SELECT", {}, sqlite_error(sqlite3.SQLITE_ERROR)
        ),  # such as: no such table
        # Raised by Python, without a code.
        DBAPIError("SELECT", {}, sqlite3.ProgrammingError("Incorrect number of bindings")),
        ValueError(),
        FileNotFoundError(),
    ],
)
def test_bugs(error: Exception) -> None:
    assert translate_db_error(error) is None
