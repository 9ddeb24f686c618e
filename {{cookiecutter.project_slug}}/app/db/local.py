"""The database of a checkout, for development and tests without a DATABASE_URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url


@contextmanager
def local_database(directory: Path, *, test_process: str | None = None) -> Iterator[URL]:
    """Yield the address of the database whose files are in *directory*.

    Each *test_process* gets its own database there.
    """
    name = f"test_{test_process}" if test_process else "app"
    directory.mkdir(parents=True, exist_ok=True)
    yield make_url("sqlite+aiosqlite://").set(database=str(directory / f"{name}.db"))
