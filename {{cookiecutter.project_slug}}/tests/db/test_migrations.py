"""Migrations: one line of revisions, in both directions, with rows, and in step with the models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL, Connection, MetaData, Table, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.db.local import local_database
from tests.db.rows import delete_rows, store_rows
from tests.support import alembic, alembic_config, on_connection

EXPLANATION = (
    "Revision {revision} fails on tables that have rows, as they do in production. A new column that "
    "is NOT NULL needs a server_default, or three steps: add it as nullable, fill it, then make it "
    "NOT NULL (docs/database.md). If the error is about a row that this test has made up, give the "
    "column a value in VALUES of tests/db/rows.py.\n{error}"
)
ALEMBIC_VERSION = "alembic_version"


@pytest.fixture
def scratch_url(
    shared_directory: Path, worker_id: str, request: pytest.FixtureRequest
) -> Iterator[URL]:
    """An empty database of this test, so that a migration that fails leaves other tests alone."""
    name = f"{worker_id}_{crc32(request.node.name.encode())}"
    with local_database(shared_directory, test_process=name) as url:
        yield url


def tables_of(connection: Connection) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.tables.values() if table.name != ALEMBIC_VERSION]


def fill(connection: Connection) -> None:
    """Replace all rows."""
    tables = tables_of(connection)
    for statement in delete_rows(tables):
        connection.execute(statement)
    store_rows(connection, tables)


def count_rows(connection: Connection) -> dict[str, int]:
    """Count the rows of each table, which must refer to existing ones."""
    # SQLite runs migrations without this check; PostgreSQL always checks.
    check = {"sqlite": "PRAGMA foreign_key_check"}.get(connection.dialect.name, "SELECT 1 LIMIT 0")
    assert connection.execute(text(check)).all() == []
    counts = {
        table.name: connection.scalar(select(func.count()).select_from(table))
        for table in tables_of(connection)
    }
    return {name: count or 0 for name, count in counts.items()}


def migrate(url: URL, action: str, revision: str, *versions: Path) -> None:
    """Migrate a database with rows. No table that stays may lose any."""
    try:
        on_connection(url, fill)
        before = on_connection(url, count_rows)
        alembic(url, action, revision, versions=versions)
        after = on_connection(url, count_rows)
    except SQLAlchemyError as error:
        pytest.fail(EXPLANATION.format(revision=revision, error=error), pytrace=False)
    lost = {name for name in before.keys() & after.keys() if after[name] < before[name]}
    assert not lost, f"{action} to {revision} deletes rows of {lost}"


def revisions(*versions: Path) -> list[Script]:
    script = ScriptDirectory.from_config(alembic_config(versions))
    return [*script.walk_revisions()][::-1]


def run(url: URL, revision: Script, *versions: Path) -> None:
    """Run a migration up, down and up again."""
    migrate(url, "upgrade", revision.revision, *versions)
    # Two revisions, which a merge joins, have been run before it.
    previous = revision.revision if revision.is_merge_point else revision.down_revision or "base"
    migrate(url, "downgrade", str(previous), *versions)
    migrate(url, "upgrade", revision.revision, *versions)


def test_revisions_have_one_head() -> None:
    heads = ScriptDirectory.from_config(alembic_config()).get_heads()
    assert len(heads) == 1, "join the revisions with `alembic merge heads`"


def test_each_migration_runs_up_down_and_up_again_with_rows(scratch_url: URL) -> None:
    for revision in revisions():
        run(scratch_url, revision)
    alembic(scratch_url, "downgrade", "base")
    assert on_connection(scratch_url, tables_of) == [], "downgrade() leaves tables behind"


def test_models_and_migrations_agree(migrated_database_url: URL) -> None:
    alembic(migrated_database_url, "check")


REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = {head!r}


def upgrade() -> None:
    with op.batch_alter_table("users") as batch_op:
        {operation}


def downgrade() -> None:
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_column("points")
"""


REQUIRED = 'batch_op.add_column(sa.Column("points", sa.Integer, nullable=False))'
WITH_DEFAULT = REQUIRED.replace("nullable=False", 'nullable=False, server_default="0"')
DELETION = 'op.execute("DELETE FROM refresh_tokens")'


@pytest.fixture
def run_next_revision(
    scratch_url: URL, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[], None]:
    """Run one more revision, which does what the test's parameter says."""
    alembic(scratch_url, "upgrade", "head")
    text = REVISION.format(head=revisions()[-1].revision, operation=request.param)
    (tmp_path / "next.py").write_text(text)
    return lambda: run(scratch_url, revisions(tmp_path)[-1], tmp_path)


@pytest.mark.parametrize("run_next_revision", [REQUIRED], indirect=True)
def test_required_column_without_a_default_is_explained(
    run_next_revision: Callable[[], None],
) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"Revision next .*server_default"):
        run_next_revision()


@pytest.mark.parametrize("run_next_revision", [WITH_DEFAULT], indirect=True)
def test_required_column_with_a_default_is_right(run_next_revision: Callable[[], None]) -> None:
    run_next_revision()


@pytest.mark.parametrize("run_next_revision", [DELETION], indirect=True)
def test_lost_rows_are_found(run_next_revision: Callable[[], None]) -> None:
    with pytest.raises(AssertionError, match="upgrade to next deletes rows of"):
        run_next_revision()
