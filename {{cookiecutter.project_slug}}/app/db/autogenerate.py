"""Additions to `alembic revision --autogenerate` and `alembic check`."""

import re
from typing import Literal

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations import ops
from alembic.util import CommandError, PriorityDispatchResult
from sqlalchemy import CheckConstraint, Dialect, Enum, Table
from sqlalchemy.schema import conv

from app.db.base import UTCDateTime

_VALUE = re.compile(r"'((?:[^']|'')*)'")


def render_item(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Write our own types as plain SQLAlchemy types: migrations outlive the code of today."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Enum):
        return f"sa.String(length={item.length})"
    return False


def reject_empty_revision(
    context: MigrationContext, _revision: object, directives: list[ops.MigrationScript]
) -> None:
    """Write no file when nothing has changed. `alembic check` may find nothing, though."""
    options = context.config.cmd_opts if context.config else None
    (script,) = directives
    is_empty = all(upgrade_ops.is_empty() for upgrade_ops in script.upgrade_ops_list)
    if getattr(options, "autogenerate", False) and is_empty:
        raise CommandError(
            "the models in app/models and the database are the same, so no revision was written; "
            "for a migration that you write yourself, run: alembic revision -m MESSAGE"
        )


@comparators.dispatch_for("table")
def compare_check_constraints(
    context: AutogenContext,
    modify: ops.ModifyTableOps,
    _schema: str | None,
    _name: str,
    old: Table | None,
    new: Table | None,
) -> PriorityDispatchResult:
    """Find CHECK constraints that were added or removed, and new values of enums.

    Alembic itself compares none of them. Databases rewrite expressions, so this compares names and
    the values of enums only: give a constraint with another expression another name.
    """
    dialect = context.dialect
    if old is None or new is None or dialect is None:
        return PriorityDispatchResult.CONTINUE
    before, after = _checks(dialect, old), _checks(dialect, new)
    removed, added = before.keys() - after.keys(), after.keys() - before.keys()
    for column in new.columns:
        name = f"ck_{new.name}_{column.name}"
        if isinstance(column.type, Enum) and name in before.keys() & after.keys():
            found = _VALUE.findall(str(before[name].sqltext))
            values = [value.replace("''", "'") for value in found]
            if set(values) != set(column.type.enums):
                # In our own words, because PostgreSQL's would not run on SQLite.
                is_known = old.columns[column.name].in_(values)
                before[name] = CheckConstraint(is_known, name=conv(name), table=old)
                removed, added = removed | {name}, added | {name}
    modify.ops += [ops.DropConstraintOp.from_constraint(before[name]) for name in sorted(removed)]
    modify.ops += [
        ops.CreateCheckConstraintOp.from_constraint(after[name]) for name in sorted(added)
    ]
    return PriorityDispatchResult.CONTINUE


def _checks(dialect: Dialect, table: Table) -> dict[str, CheckConstraint]:
    # The dialect shortens long names.
    return {
        str(dialect.identifier_preparer.format_constraint(constraint)): constraint
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint) and constraint.name
    }
