"""Migrations on a PostgreSQL server in production: big tables, and several processes at once."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL

from app.core.config import ROOT
from app.db.local import local_database
from tests.service import PROGRAMS, environment
from tests.support import alembic_config

# Exempts a migration from a rule: "# squawk-ignore ban-drop-column: nothing reads it since 1.4".
EXEMPTION = re.compile(r"^ *# squawk-ignore ([\w-]+): \S", re.MULTILINE)
HELP = (
    "docs/database.md says how to change big tables. To accept a finding, write the rule and the "
    "reason into the migration: # squawk-ignore RULE: REASON"
)


def scripts(*versions: Path) -> list[Script]:
    return [*ScriptDirectory.from_config(alembic_config(versions)).walk_revisions()]


def sql_of(script: Script) -> str:
    """Return what `alembic upgrade --sql` prints for one migration."""
    output = StringIO()
    options = {"as_sql": True, "literal_binds": True, "output_buffer": output}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context), context.begin_transaction():
        script.module.upgrade()
    return output.getvalue()


def lint(script: Script) -> str:
    """Return what squawk finds in a migration."""
    rules = EXEMPTION.findall(Path(script.path).read_text("utf-8"))
    exemptions = "".join(f"-- squawk-ignore-file {rule}\n" for rule in rules)
    done = subprocess.run(
        [PROGRAMS / "squawk", "--reporter=gcc", f"--stdin-filepath={script.path}"],
        cwd=ROOT,
        input=exemptions + sql_of(script),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == (1 if done.stdout else 0)
    return done.stdout


def test_migrations_lock_no_big_table() -> None:
    assert "".join(map(lint, scripts())) == "", HELP


REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = {head!r}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '10s'")
    {operation}
"""
INDEX = 'op.create_index("ix_users_full_name", "users", ["full_name"])'
CONCURRENTLY = INDEX.replace("])", "], if_not_exists=True, postgresql_concurrently=True)")


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        (INDEX, "require-concurrent-index-creation"),
        (f"# squawk-ignore require-concurrent-index-creation: a small table\n    {INDEX}", None),
        (f"with op.get_context().autocommit_block():\n        {CONCURRENTLY}", None),
        (CONCURRENTLY, "ban-concurrent-index-creation-in-transaction"),
        ('op.drop_column("users", "full_name")', "ban-drop-column"),
        ("# squawk-ignore ban-drop-column:\n    op.drop_column('users', 'x')", "ban-drop-column"),
        ('op.add_column("users", sa.Column("points", sa.Integer))', None),
    ],
)
def test_operation_that_locks_a_big_table_is_found(
    tmp_path: Path, operation: str, rule: str | None
) -> None:
    text = REVISION.format(head=scripts()[0].revision, operation=operation)
    (tmp_path / "next.py").write_text(text)
    output = lint(scripts(tmp_path)[0])
    assert re.findall(r"warning: (\S+)", output) == ([rule] if rule else [])


@pytest.fixture
def empty_url(shared_directory: Path, worker_id: str) -> Iterator[URL]:
    with local_database(shared_directory, test_process=f"{worker_id}_at_once") as url:
        yield url


@pytest.mark.slow
async def test_one_of_ten_processes_migrates_and_the_others_wait(empty_url: URL) -> None:
    async def upgrade() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alembic", "upgrade", "head"),
            cwd=ROOT,
            env=environment(empty_url),
            stderr=asyncio.subprocess.PIPE,
        )
        _, log = await process.communicate()
        return process.returncode, log

    results = await asyncio.gather(*(upgrade() for _ in range(10)))
    assert [status for status, _ in results] == [0] * 10
    migrated = [log for _, log in results if b"Running upgrade" in log]
    assert len(migrated) == 1
    assert migrated[0].count(b"Running upgrade") == len(scripts())
