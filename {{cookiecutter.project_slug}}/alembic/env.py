"""Alembic's environment: connects with the service's own settings and runs the migrations."""

import asyncio
import time
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import URL, Connection, text

from app import models  # noqa: F401 -- registers the tables on Base.metadata
from app.core.config import get_settings
from app.core.logging import configure_logging
from app.db.base import Base, UTCDateTime
from app.db.engine import make_migration_engine
from app.db.session import database_url

# Any number, as long as it never changes: every migration of this database takes this lock.
MIGRATION_LOCK = 7_215_301_982
LOCK_TIMEOUT_SECONDS = 600


def render_item(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Write our own types as plain SQLAlchemy types: migrations outlive the code of today."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run_migrations(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        render_item=render_item,
        # SQLite changes a table by copying it, which Alembic calls a batch.
        render_as_batch=connection.dialect.name == "sqlite",
        # Both databases can roll back DDL, so a migration that fails leaves nothing half-done.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_locked(connection: Connection) -> None:
    """Run the migrations under a lock. With SQLite, their transaction is the lock."""
    if connection.dialect.name != "postgresql":
        run_migrations(connection)
        return
    # Held by the session, not by a transaction: a migration may commit in between, as it has to
    # for CREATE INDEX CONCURRENTLY.
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    lock = {"key": MIGRATION_LOCK}
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), lock):
        connection.rollback()
        if time.monotonic() > deadline:
            raise TimeoutError("another process has been migrating this database for too long")
        time.sleep(0.5)
    connection.commit()
    try:
        run_migrations(connection)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), lock)
        connection.commit()


async def connect_and_run(url: URL) -> None:
    engine = make_migration_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(run_locked)
    await engine.dispose()


def print_sql(url: URL) -> None:
    """`alembic upgrade head --sql`: needs no database, only its kind."""
    context.configure(
        dialect_name=url.get_backend_name(), target_metadata=Base.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()


# Tests pass a connection to their own database.
if (connection := context.config.attributes.get("connection")) is not None:
    run_locked(connection)
else:
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)
    with database_url(settings) as url:
        if context.is_offline_mode():
            print_sql(url)
        else:
            asyncio.run(connect_and_run(url))
