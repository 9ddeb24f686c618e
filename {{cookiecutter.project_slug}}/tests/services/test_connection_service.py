"""The warning at start about more workers and connections than the server has room for."""

import pytest
from sqlalchemy import make_url

from app.core.config import Settings
from app.crud.server import Server
from app.db.engine import make_engine
from app.db.session import Database
from app.services import connection_service
from app.services.connection_service import has_enough_connections, warn_of_missing_connections


@pytest.mark.parametrize(
    ("server", "is_enough"),
    [
        (Server("SQLite 3"), True),
        (Server("PostgreSQL 18", max_connections=20), True),
        (Server("PostgreSQL 18", max_connections=19), False),
        (Server("PostgreSQL 18", max_connections=19, has_pooler=True), True),
    ],
)
async def test_too_many_connections_are_a_warning(
    settings: Settings,
    database: Database,
    server: Server,
    is_enough: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def find(_: object) -> Server:
        return server

    monkeypatch.setattr(connection_service, "find_server", find)
    settings = settings.model_copy(update={"web_concurrency": 4, "database_pool_size": 5})
    assert has_enough_connections(settings, server) is is_enough
    await warn_of_missing_connections(settings, database.engine)
    text = "WEB_CONCURRENCY=4 times DATABASE_POOL_SIZE=5 is up to 20 connections"
    assert [text in message for message in caplog.messages] == [True] * (not is_enough)


async def test_real_server_has_room(
    settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await warn_of_missing_connections(settings, database.engine)
    assert not caplog.messages


async def test_start_does_not_need_the_database(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(make_url("postgresql+psycopg://nobody:nothing@127.0.0.1:9/none"))
    await warn_of_missing_connections(settings, engine)
    assert not caplog.messages


async def test_bug_is_raised(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(_: object) -> Server:
        raise ZeroDivisionError

    monkeypatch.setattr(connection_service, "find_server", find)
    with pytest.raises(ZeroDivisionError):
        await warn_of_missing_connections(settings, database.engine)
