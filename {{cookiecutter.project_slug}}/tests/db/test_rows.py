"""The rows that tests make up for tables of any kind (rows.py)."""

from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Computed,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import INET

from app.db.base import NAMING_CONVENTION
from app.db.session import Database
from tests.db import rows
from tests.db.rows import delete_rows, make_row, store_rows

metadata = MetaData(naming_convention=NAMING_CONVENTION)
gadgets = Table(
    "test_gadgets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer),
    Column("size", String(10), nullable=False, unique=True),
    Column("uuid", String(32), unique=True),
    Column("double", Integer, Computed("number * 2")),
    Column("price", Numeric(10, 2), nullable=False),
    Column("data", JSON, nullable=False),
    Column("address", INET().with_variant(Text, "sqlite")),
    Column("parent_id", ForeignKey("test_gadgets.id")),
    Column("favourite_id", ForeignKey("test_people.id", use_alter=True)),
    CheckConstraint("size IN ('small''s', 'large')", name="size"),
    CheckConstraint("price > 100", name="price"),
    Index(None, "number", unique=True),
)
people = Table(
    "test_people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("gadget_id", ForeignKey("test_gadgets.id"), nullable=False),
    Column("other_gadget_id", ForeignKey("test_gadgets.id"), nullable=False),
    CheckConstraint("gadget_id <> other_gadget_id", name="different_gadgets"),
)


@pytest.fixture(autouse=True)
def value_for_the_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rows.VALUES, "test_gadgets.price", 101)


def test_rows_differ_only_where_they_must() -> None:
    first, second = (make_row(gadgets, number) for number in (0, 1))
    assert {name for name in first if first[name] != second[name]} == {
        "id",
        "number",
        "size",
        "uuid",
    }
    assert (first["size"], second["size"]) == ("small's", "large")
    assert first["address"] is None


def counts(connection: Connection) -> list[Any]:
    return [connection.scalar(select(func.count()).select_from(each)) for each in (gadgets, people)]


async def test_tables_that_refer_to_each_other_can_be_filled_and_emptied(
    database: Database,
) -> None:
    def check(connection: Connection) -> None:
        metadata.create_all(connection)
        tables = [people, gadgets]
        store_rows(connection, tables)
        assert counts(connection) == [2, 2]
        connection.execute(gadgets.update().values(favourite_id=1, parent_id=1))
        for statement in delete_rows(tables):
            connection.execute(statement)
        assert counts(connection) == [0, 0]
        metadata.drop_all(connection)

    async with database.engine.begin() as connection:
        await connection.run_sync(check)
