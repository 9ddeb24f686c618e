"""The database of a checkout, for development and tests without a DATABASE_URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

from app.db.local_postgres import local_postgres


@contextmanager
def local_database(directory: Path, *, test_process: str | None = None) -> Iterator[URL]:
    """Yield the address of the database whose files are in *directory*.

    Each *test_process* gets its own database there.
    """
    name = f"test_{test_process}" if test_process else "app"
    # A server that isn't durable is faster, and tests don't mind losing their data in a crash.
    durable = test_process is None
    with local_postgres(directory / "postgres", database=name, durable=durable) as url:
        yield make_url(url)
