"""Writes the migration for new tables or a new column, from the models alone: no database is needed.

python -m scripts.resource.revision "add orders" orders order_tags
python -m scripts.resource.revision "add discount to orders" orders.discount
"""

import sys
from pathlib import Path

from alembic.autogenerate.api import render_python_code
from alembic.config import Config
from alembic.operations import ops
from alembic.script import ScriptDirectory
from alembic.util import CommandError, rev_id
from sqlalchemy import (
    CheckConstraint,
    Column,
    Constraint,
    ForeignKeyConstraint,
    Index,
    Table,
    UniqueConstraint,
)
from sqlalchemy.schema import sort_tables_and_constraints

from app import models  # noqa: F401 -- registers the tables on Base.metadata
from app.db.autogenerate import render_item
from app.db.base import Base

MAX_NAME = 63  # PostgreSQL's

# With PostgreSQL, the template of a comment that accepts a lock of a table with rows.
EXEMPTION = Path("scripts/resource/templates/exemption.jinja")
# The rules of the linter of migrations about these locks.
LOCKING = {
    ops.CreateCheckConstraintOp: ["constraint-missing-not-valid"],
    ops.CreateForeignKeyOp: ["constraint-missing-not-valid", "adding-foreign-key-constraint"],
    ops.CreateUniqueConstraintOp: ["constraint-missing-not-valid", "disallowed-unique-constraint"],
    ops.CreateIndexOp: ["require-concurrent-index-creation"],
}


def operations(names: list[str]) -> ops.UpgradeOps:
    known = Base.metadata.tables
    new = [known[name] for name in names if "." not in name]
    *ordered, _ = sort_tables_and_constraints(new)  # type: ignore[no-untyped-call] # SQLAlchemy's
    steps: list[ops.MigrateOperation] = []
    for table, _ in ordered:
        steps.append(ops.CreateTableOp.from_table(table))
        indexes = [ops.CreateIndexOp.from_index(index) for index in _sorted(table.indexes)]
        steps.append(ops.ModifyTableOps(table.name, indexes))
    for name in names:
        if "." in name:
            table_name, _, column_name = name.partition(".")
            steps.append(_add_column(known[table_name], known[table_name].columns[column_name]))
    for table in [*new, *(known[name.partition(".")[0]] for name in names if "." in name)]:
        _check_names(table)
    return ops.UpgradeOps(steps)


def _add_column(table: Table, column: Column[object]) -> ops.ModifyTableOps:
    constraints = [
        ops.AddConstraintOp.from_constraint(constraint)
        for constraint in sorted(table.constraints, key=lambda constraint: str(constraint.name))
        if isinstance(constraint, CheckConstraint | ForeignKeyConstraint | UniqueConstraint)
        and column in constraint.columns.values()
    ]
    indexes = [
        ops.CreateIndexOp.from_index(index)
        for index in _sorted(table.indexes)
        if column in index.columns.values()
    ]
    add = ops.AddColumnOp.from_column(column)
    return ops.ModifyTableOps(table.name, [add, *constraints, *indexes])


def exemptions(steps: list[ops.MigrateOperation]) -> list[str]:
    """Write the comments that accept the locks of columns that are added."""
    if not EXEMPTION.exists():
        return []
    parts = [part for step in steps if isinstance(step, ops.ModifyTableOps) for part in step.ops]
    if not any(isinstance(part, ops.AddColumnOp) for part in parts):
        return []  # the tables are new, so nobody waits for them
    rules = [rule for part in parts for rule in LOCKING.get(type(part), [])]
    comment = EXEMPTION.read_text("utf-8").strip()
    return [comment.replace("{{ rule }}", rule) for rule in dict.fromkeys(rules)]


def _sorted(indexes: set[Index]) -> list[Index]:
    return sorted(indexes, key=lambda index: str(index.name))


def _check_names(table: Table) -> None:
    items: list[Constraint | Index] = [*table.constraints, *table.indexes]
    for name in (str(item.name) for item in items):
        if len(name) > MAX_NAME:
            raise SystemExit(f"the name {name} has more than {MAX_NAME} characters")


def main() -> None:
    message, *names = sys.argv[1:]
    upgrade = operations(names)
    script = ScriptDirectory.from_config(Config("alembic.ini"))
    code = [
        "\n".join(
            line for line in text.splitlines() if not line.strip().startswith("# ###")
        ).strip()
        for text in (
            render_python_code(step, render_as_batch=True, render_item=render_item)
            for step in (upgrade, upgrade.reverse())
        )
    ]
    code[0] = "\n    ".join([*exemptions(upgrade.ops), code[0]])
    try:
        script.generate_revision(
            rev_id(), message, upgrades=code[0], downgrades=code[1], imports=""
        )
    except CommandError as error:
        raise SystemExit(f"the migration can't be written: {error}") from None


if __name__ == "__main__":
    main()
