"""Alembic's environment: connects with the service's own settings and runs the migrations."""

import asyncio
import time

from alembic import context
from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import models  # noqa: F401 -- registers the tables on Base.metadata
from app.core.config import get_settings
from app.core.event_loop import run
from app.core.logging import configure_logging
from app.db.autogenerate import reject_empty_revision, render_item
from app.db.base import Base
from app.db.engine import make_migration_engine
from app.db.errors import exit_on_db_error
from app.db.session import database_url

# Any number, as long as it never changes: every migration of this database takes this lock.
MIGRATION_LOCK = 7_215_301_982
LOCK_TIMEOUT_SECONDS = 600


def run_migrations(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        render_item=render_item,
        process_revision_directives=reject_empty_revision,
        # SQLite changes a table by copying it, which Alembic calls a batch.
        render_as_batch=connection.dialect.name == "sqlite",
        # Both databases can roll back DDL, so a migration that fails leaves nothing half-done.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run(url: URL) -> None:
    engine = make_migration_engine(url)
    async with engine.connect() as connection, engine.connect() as lock_holder:
        if url.get_backend_name() == "postgresql":  # with SQLite, the transaction is the lock
            await take_lock(lock_holder)
        await connection.run_sync(run_migrations)
    await engine.dispose()


async def take_lock(connection: AsyncConnection) -> None:
    """Let one process at a time migrate.

    The lock has a transaction of its own, which ends with the connection: a migration may commit in
    between, as it has to for CREATE INDEX CONCURRENTLY. A lock of the session would outlive us
    behind a pooler in transaction mode.
    """
    await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    lock = {"key": MIGRATION_LOCK}
    while not await connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), lock):
        if time.monotonic() > deadline:
            raise TimeoutError("another process has been migrating this database for too long")
        await asyncio.sleep(0.5)


def print_sql(url: URL) -> None:
    """`alembic upgrade head --sql`: needs no database, only its kind."""
    context.configure(
        dialect_name=url.get_backend_name(), target_metadata=Base.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()


# Tests pass a connection to their own database.
if (connection := context.config.attributes.get("connection")) is not None:
    run_migrations(connection)
else:
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_line_format)
    with exit_on_db_error(), database_url(settings) as url:
        if context.is_offline_mode():
            print_sql(url)
        else:
            run(connect_and_run(url))
