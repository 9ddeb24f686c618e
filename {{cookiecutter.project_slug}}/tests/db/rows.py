"""Rows for any table, made from its columns and constraints."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Connection,
    ForeignKeyConstraint,
    Table,
    UniqueConstraint,
    insert,
    null,
    update,
)
from sqlalchemy.schema import sort_tables_and_constraints

from app.db.base import utc_now

# Values of columns for which the database rejects what this module makes up, such as a number that
# a CHECK constraint limits: {"orders.discount": 5}.
VALUES: dict[str, Any] = {}

NOW = utc_now()
# A character that takes most space in a cursor.
FILLER = "\U0001f40e"
# Of texts without a limit.
MAX_LENGTH = 238


def make_row(table: Table, number: int) -> dict[str, Any]:
    """Return a row without its foreign keys.

    Rows with other numbers are as equal to it as unique constraints allow.
    """
    return {
        column.key: _value(column, number)
        for column in table.columns
        if not column.foreign_keys and column.computed is None
    }


def _value(column: Column[Any], number: int) -> Any:
    if f"{column.table.name}.{column.name}" in VALUES:
        return VALUES[f"{column.table.name}.{column.name}"]
    distinct = number if _is_unique(column) else 0
    if isinstance(column.type, JSON):  # Python has no type for it
        return {"number": distinct}
    kind = column.type.python_type  # `object` for some types of PostgreSQL, whose value is None
    length = getattr(column.type, "length", None)
    if issubclass(kind, str):
        if known := _values_of_enum(column):
            return known[distinct % len(known)]
        if length == 32:  # a UUID in SQLite
            return UUID(int=distinct).hex
        return f"{distinct}{FILLER * MAX_LENGTH}"[: length or MAX_LENGTH]
    values: dict[type, Any] = {
        bool: False,
        int: distinct + 1,
        float: distinct + 0.5,
        Decimal: Decimal(distinct) / 4,
        datetime: NOW + timedelta(seconds=distinct),
        date: date(2026, 1, 1) + timedelta(days=distinct),
        time: time(12, 0, distinct % 60),
        timedelta: timedelta(seconds=distinct),
        UUID: UUID(int=distinct),
        bytes: str(distinct).encode(),
        list: [],
    }
    return values.get(kind)


def _is_unique(column: Column[Any]) -> bool:
    constraints = (c for c in column.table.constraints if isinstance(c, UniqueConstraint))
    return (
        column.primary_key
        or any(column.name in constraint.columns for constraint in constraints)
        or any(column.name in index.columns for index in column.table.indexes if index.unique)
    )


def _values_of_enum(column: Column[Any]) -> list[str]:
    """Return the values that the column's CHECK constraint lists (see app/db/base.py)."""
    name = f"ck_{column.table.name}_{column.name}"
    for constraint in column.table.constraints:
        if isinstance(constraint, CheckConstraint) and constraint.name == name:
            compiled = constraint.sqltext.compile(compile_kwargs={"literal_binds": True})
            return [
                value.replace("''", "'") for value in re.findall(r"'((?:[^']|'')*)'", str(compiled))
            ]
    return []


def _sorted(tables: list[Table]) -> tuple[list[Table], list[ForeignKeyConstraint]]:
    """Sort tables so that each comes after those that it refers to.

    Also returns the foreign keys that form circles, which have to stay NULL.
    """

    def is_breakable(key: ForeignKeyConstraint) -> bool | None:
        # SQLAlchemy would take all keys of a table in a circle out of the order, required ones too.
        return None if all(column.nullable for column in key.columns) else False

    *ordered, (_, circles) = sort_tables_and_constraints(tables, is_breakable)  # type: ignore[no-untyped-call] # SQLAlchemy's
    return [table for table, _ in ordered if table is not None], [*circles]


def store_rows(
    connection: Connection,
    tables: list[Table],
    count: int = 2,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Store rows in all *tables*, which refer to each other; *values* are for the first one."""
    ordered, circles = _sorted(tables)
    rows: dict[str, list[dict[str, Any]]] = {}
    for table in ordered:
        rows[table.name] = [make_row(table, number) for number in range(count)]
        keys = [key for key in table.foreign_key_constraints if key not in circles]
        for number, row in enumerate(rows[table.name]):
            # Two keys to the same table refer to different rows.
            for shift, key in enumerate(sorted(keys, key=lambda key: [*key.column_keys])):
                referred = rows[key.referred_table.name][(number + shift) % count]
                for element in key.elements:
                    row[element.parent.key] = (
                        None
                        if key.referred_table is table and element.parent.nullable
                        else referred[element.column.key]
                    )
            row.update(values if table is tables[0] else {})
        connection.execute(insert(table), rows[table.name])


def delete_rows(tables: list[Table]) -> Iterator[Any]:
    """Yield the statements that empty *tables*."""
    ordered, circles = _sorted(tables)
    for key in circles:
        nullable = [element.parent for element in key.elements if element.parent.nullable]
        yield update(key.table).values({column: null() for column in nullable})
    for table in reversed(ordered):
        yield table.delete()
