"""Migrations: one line of revisions, in both directions, and in step with the models."""

import pkgutil

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL

import app.models
from app.core.config import ROOT
from app.db.base import Base
from tests.support import alembic


def test_revisions_have_one_head() -> None:
    script = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert len(script.get_heads()) == 1


def test_every_model_is_imported_for_alembic() -> None:
    package = app.models
    modules = {f"{package.__name__}.{it.name}" for it in pkgutil.iter_modules(package.__path__)}
    assert modules == {mapper.class_.__module__ for mapper in Base.registry.mappers}
    assert set(package.__all__) == {mapper.class_.__name__ for mapper in Base.registry.mappers}


def test_each_migration_runs_up_down_and_up_again(migrated_database_url: URL) -> None:
    revisions = list(ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).walk_revisions())
    for _ in revisions:
        alembic(migrated_database_url, "downgrade", "-1")
    for revision in reversed(revisions):
        alembic(migrated_database_url, "upgrade", revision.revision)
        alembic(migrated_database_url, "downgrade", "-1")
        alembic(migrated_database_url, "upgrade", revision.revision)


def test_models_and_migrations_agree(migrated_database_url: URL) -> None:
    alembic(migrated_database_url, "check")
