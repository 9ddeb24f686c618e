"""The database of a checkout: what development and the tests use when there is no DATABASE_URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

# {%- if cookiecutter.database == "postgresql" +%}

from app.db.local_postgres import local_postgres

# {%- endif +%}


@contextmanager
def local_database(directory: Path, name: str = "app", *, durable: bool = True) -> Iterator[URL]:
    """Give the address of a database that keeps its files in *directory*.

    One that is not *durable* may lose its data when the machine crashes: good for tests, and faster.
    """
    # {% if cookiecutter.database == "postgresql" %}
    # A real server: started when it doesn't run, stopped by the last process that leaves.
    with local_postgres(directory / "postgres", database=name, durable=durable) as url:
        yield make_url(url)
    # {% else %}
    directory.mkdir(parents=True, exist_ok=True)
    yield make_url("sqlite+aiosqlite://").set(database=str(directory / f"{name}.db"))
    # {% endif %}
