"""The database of a checkout: what development and the tests use when there is no DATABASE_URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

from app.db.local_postgres import local_postgres


@contextmanager
def local_database(directory: Path, *, test_process: str | None = None) -> Iterator[URL]:
    """Give the address of the database that keeps its files in *directory*.

    Each *test_process* gets one of its own there.
    """
    name = f"test_{test_process}" if test_process else "app"
    # A real server: started when it doesn't run, stopped by the last process that leaves. That of
    # tests may lose its data when the machine crashes, and is faster for that.
    durable = test_process is None
    with local_postgres(directory / "postgres", database=name, durable=durable) as url:
        yield make_url(url)
