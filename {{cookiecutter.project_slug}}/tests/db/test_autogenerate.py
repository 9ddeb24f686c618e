"""Enums and CHECK constraints in models, and what Alembic writes for them."""

import enum
from argparse import Namespace
from contextlib import nullcontext
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import DowngradeOps, MigrationScript, UpgradeOps
from alembic.util import CommandError
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Enum,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db.autogenerate import reject_empty_revision, render_item
from app.db.base import NAMING_CONVENTION, Base
from app.db.session import Database
from tests.support import alembic_config


class Status(enum.StrEnum):
    DRAFT = "draft"
    PAID = "it's paid"


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> MetaData:
    """Metadata of the test, treated as if the service's models had it."""
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    monkeypatch.setattr(Base, "metadata", metadata)
    return metadata


def make_parcels(metadata: MetaData, **columns: Any) -> Table:
    """Define a table as a model with these types of columns would do."""

    class Models(DeclarativeBase):
        pass

    Models.metadata = metadata
    Models.registry.update_type_annotation_map(Base.type_annotation_map)
    members = {"__tablename__": "test_parcels", "__annotations__": {"id": Mapped[int]} | columns}
    type("Parcel", (Models,), members | {"id": mapped_column(primary_key=True)})
    return metadata.tables["test_parcels"]


async def test_enum_is_stored_as_its_value(database: Database, metadata: MetaData) -> None:
    parcels = make_parcels(metadata, status=Mapped[Status], size=Mapped[Literal["s", "m"] | None])
    async with database.engine.connect() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(parcels), {"id": 1, "status": Status.PAID, "size": "m"})
        row = (await connection.execute(select(parcels))).one()
        assert (row.status, row.size) == (Status.PAID, "m")
        assert row.status is Status.PAID
        assert await connection.scalar(select(parcels.c.status.cast(String))) == "it's paid"
        with pytest.raises(StatementError, match="not among the defined enum values"):
            await connection.execute(insert(parcels), {"id": 2, "status": "lost"})
        unchecked = Table(
            "test_parcels", MetaData(), Column("id", Integer), Column("status", String)
        )
        with pytest.raises(IntegrityError, match="ck_test_parcels_status"):
            await connection.execute(insert(unchecked), {"id": 2, "status": "lost"})
        await connection.rollback()


def test_native_enum_is_rejected(metadata: MetaData) -> None:
    with pytest.raises(TypeError, match=r"test_parcels.status: leave out the column type Enum"):
        Table("test_parcels", metadata, Column("status", Enum(Status)))


def test_enum_of_numbers_is_rejected(metadata: MetaData) -> None:
    class Level(enum.IntEnum):
        LOW = 1

    with pytest.raises(TypeError, match="numbers belong in an integer column"):
        make_parcels(metadata, level=Mapped[Level])


def code_of_changes(connection: Connection, metadata: MetaData) -> tuple[str, str]:
    """Return what `alembic revision --autogenerate` would write for *metadata*."""
    context = MigrationContext.configure(
        connection,
        opts={
            "target_metadata": metadata,
            "include_name": lambda name, kind, _: kind != "table" or name == "test_parcels",
        },
    )
    script = produce_migrations(context, metadata)
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    up, down = (
        render_python_code(operations, render_item=render_item, migration_context=context)
        for operations in (script.upgrade_ops, script.downgrade_ops)
    )
    return up, down


async def test_changed_constraints_are_found(database: Database, metadata: MetaData) -> None:
    make_parcels(metadata, status=Mapped[Status], size=Mapped[Literal["s", "m"]])
    async with database.engine.connect() as connection:
        up, _ = await connection.run_sync(code_of_changes, metadata)
        assert "sa.Column('status', sa.String(length=50), nullable=False)" in up
        assert """sa.CheckConstraint("status IN ('draft', 'it''s paid')", name=op.f(""" in up
        await connection.run_sync(metadata.create_all)
        assert "\n    pass\n" in (await connection.run_sync(code_of_changes, metadata))[0]

        metadata.clear()
        table = make_parcels(
            metadata, size=Mapped[Literal["s", "m", "l"]], sent_at=Mapped[datetime]
        )
        table.append_constraint(CheckConstraint("id > 0", name="positive"))
        up, down = await connection.run_sync(code_of_changes, metadata)
        await connection.rollback()
    assert "sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False)" in up
    assert (
        "create_check_constraint(op.f('ck_test_parcels_positive'), 'test_parcels', 'id > 0')" in up
    )
    assert "drop_constraint(op.f('ck_test_parcels_status'), 'test_parcels', type_='check')" in up
    assert "drop_constraint(op.f('ck_test_parcels_size'), 'test_parcels', type_='check')" in up
    assert """(op.f('ck_test_parcels_size'), 'test_parcels', "size IN ('s', 'm', 'l')")""" in up
    # Both databases can run this, although PostgreSQL describes the constraint in its own way.
    assert """(op.f('ck_test_parcels_size'), 'test_parcels', "size IN ('s', 'm')")""" in down


@pytest.mark.parametrize("autogenerate", [True, False])
def test_empty_revision_is_not_written(autogenerate: bool) -> None:
    config = alembic_config()
    config.cmd_opts = Namespace(autogenerate=autogenerate)
    context: Any = SimpleNamespace(config=config)
    script = MigrationScript(None, UpgradeOps(), DowngradeOps())
    with (
        pytest.raises(CommandError, match="no revision was written")
        if autogenerate
        else nullcontext()
    ):
        reject_empty_revision(context, None, [script])
