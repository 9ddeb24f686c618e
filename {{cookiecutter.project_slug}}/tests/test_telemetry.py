"""Metrics and spans of statements, without an SDK. The SDK calls the same methods."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions
from sqlalchemy import literal, select, text

from app.application import create_app
from app.core.config import Settings
from app.core.security_events import log_security_event
from app.db.session import Database
from app.dependencies.resources import Resources
from app.dependencies.telemetry import start_telemetry
from tests.support import USERS, client_of

# The listener of errors belongs to an engine's dialect.
pytestmark = pytest.mark.usefixtures("own_engines")

NO_OPTIONS = CallbackOptions()


class Span(trace.NonRecordingSpan):
    def __init__(self, name: str = "", **options: Any) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self.name = name
        self.attributes: dict[str, Any] = dict(options.get("attributes", {}))
        self.ended = 0

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def end(self, end_time: int | None = None) -> None:
        self.ended += 1


class Provider:
    """A provider of an SDK, with its meter and its tracer."""

    def __init__(self) -> None:
        self.instruments: dict[str, Any] = {}
        self.spans: list[Span] = []

    def add_metric_reader(self) -> None: ...

    def add_span_processor(self) -> None: ...

    def get_meter(self, _name: str) -> Any:
        return self

    get_tracer = get_meter

    def create_observable_gauge(self, name: str, callbacks: list[Any], unit: str) -> None:
        assert unit.startswith("{")
        self.instruments[name] = callbacks[0]

    create_observable_counter = create_observable_gauge

    def start_span(self, name: str, **options: Any) -> Span:
        self.spans.append(Span(name, **options))
        return self.spans[-1]

    def read(self, name: str) -> list[tuple[Any, dict[str, Any]]]:
        found: Iterable[Any] = self.instruments[name](NO_OPTIONS)
        return [(observation.value, dict(observation.attributes or {})) for observation in found]


@pytest.fixture
def provider(settings: Settings, resources: Resources, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The provider of an application that has started."""
    provider = Provider()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    app = create_app(settings.model_copy(update={"cors_origins": ["https://app.example.com"]}))
    app.middleware_stack = app.build_middleware_stack()
    start_telemetry(app, resources)
    return provider


async def test_state_of_the_process_can_be_read(provider: Provider, resources: Resources) -> None:
    async with resources.database.engine.connect():
        assert provider.read("db.client.connection.count") == [
            (1, {"state": "used"}),
            (0, {"state": "idle"}),
        ]
    assert provider.read("db.client.connection.max") == [(5, {})]
    for name in ("app.requests.waiting", "app.passwords.waiting", "app.mails.waiting"):
        assert provider.read(name) == [(0, {})]
    assert provider.read("app.mails.finished") == [
        (0, {"outcome": "delivered"}),
        (0, {"outcome": "failed"}),
    ]


def test_security_events_are_counted(provider: Provider) -> None:
    def count() -> int:
        counts = {fields["event"]: value for value, fields in provider.read("app.security.events")}
        return int(counts.get("rate-limited", 0))

    before = count()
    log_security_event("rate-limited", limit="ip")
    assert count() == before + 1


async def test_statement_of_a_request_has_a_span_without_its_parameters(
    provider: Provider, resources: Resources
) -> None:
    with trace.use_span(Span("request")):
        await resources.database.read_session.scalar(select(literal("s3cret")))
    (span,) = [span for span in provider.spans if span.name == "SELECT"]
    assert span.ended == 1
    assert span.attributes["db.query.text"].startswith("SELECT ")
    assert span.attributes["db.system.name"] in {"sqlite", "postgresql"}
    assert "s3cret" not in str(span.attributes)


@pytest.mark.usefixtures("resources")
async def test_statement_that_fails_ends_its_span(provider: Provider, resources: Resources) -> None:
    with trace.use_span(Span("request")), pytest.raises(Exception, match="nothing"):
        async with resources.database.engine.connect() as connection:
            await connection.execute(text("SELECT nothing"))
    span = provider.spans[-1]
    assert span.ended == 1
    assert span.attributes["error.type"]


async def test_statement_outside_of_requests_has_no_span(
    provider: Provider, resources: Resources
) -> None:
    async with resources.database.engine.connect() as connection:
        await connection.execute(select(1))
        with pytest.raises(Exception, match="nothing"):
            await connection.execute(text("SELECT nothing"))
    assert provider.spans == []


async def test_nothing_is_added_without_an_sdk(app: FastAPI, database: Database) -> None:
    engine = database.engine.sync_engine
    resources: Any = SimpleNamespace(database=database)
    before = len(engine.dispatch.before_cursor_execute)
    start_telemetry(app, resources)
    assert len(engine.dispatch.before_cursor_execute) == before


async def test_query_of_a_traced_request_is_not_recorded(app: FastAPI) -> None:
    span = Span()

    async def traced(scope: Any, receive: Any, send: Any) -> None:
        scope["fastapi.telemetry"] = None
        with trace.use_span(span):
            await app(scope, receive, send)

    async with client_of(traced) as client:
        await client.get(f"{USERS}?q=ada@example.com")
    assert span.attributes == {"url.query": "REDACTED"}
