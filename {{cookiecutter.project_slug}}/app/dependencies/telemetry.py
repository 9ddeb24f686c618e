"""Metrics and spans of SQL statements, next to FastAPI's own OpenTelemetry spans and metrics.

All of it is off, and costs nothing, until an SDK is installed and OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext, ExecutionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from app.core.config import PROJECT_SLUG
from app.core.security_events import event_counts
from app.dependencies.resources import Resources
from app.http.middleware import RequestMiddleware

Values = Iterable[tuple[int, dict[str, str]]]

_SPAN = "telemetry_span"


def telemetry_config() -> TelemetryConfig:
    os.environ.setdefault("OTEL_SERVICE_NAME", PROJECT_SLUG)
    return {
        "auto_configure": True,  # by the standard variables OTEL_*
        # These have messages of exceptions, which quote data. Our log has what may be logged.
        "logs": False,
        "exclude": lambda scope: scope["path"].endswith(("/livez", "/readyz")),
    }


def start_telemetry(app: FastAPI, resources: Resources) -> None:
    """Add metrics and spans of statements, if FastAPI has set up the SDK."""
    meters, tracers = metrics.get_meter_provider(), trace.get_tracer_provider()
    # Only providers of an SDK have these methods.
    if hasattr(meters, "add_metric_reader"):
        add_metrics(meters.get_meter(PROJECT_SLUG), app, resources)
    if hasattr(tracers, "add_span_processor"):
        trace_statements(tracers.get_tracer(PROJECT_SLUG), resources.database.engine)


def add_metrics(meter: Meter, app: FastAPI, resources: Resources) -> None:
    """Add instruments, which the SDK reads before it exports."""
    pool = resources.database.engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 -- so that it has these methods
    mailer, hasher = resources.mailer, resources.password_hasher
    requests = _find_request_middleware(app)

    def gauge(name: str, unit: str, read: Callable[[], Values]) -> None:
        meter.create_observable_gauge(name, [_callback(read)], unit)

    def counter(name: str, unit: str, read: Callable[[], Values]) -> None:
        meter.create_observable_counter(name, [_callback(read)], unit)

    gauge(
        "db.client.connection.count",
        "{connection}",
        lambda: [
            (pool.checkedout(), {"state": "used"}),
            (pool.checkedin(), {"state": "idle"}),
        ],
    )
    gauge("db.client.connection.max", "{connection}", lambda: [(pool.size(), {})])
    gauge("app.requests.waiting", "{request}", lambda: [(requests.waiting, {})])
    gauge("app.passwords.waiting", "{password}", lambda: [(hasher.waiting, {})])
    gauge("app.mails.waiting", "{mail}", lambda: [(mailer.waiting, {})])
    counter(
        "app.mails.finished",
        "{mail}",
        lambda: [(count, {"outcome": outcome}) for outcome, count in mailer.finished.items()],
    )
    counter(
        "app.security.events",
        "{event}",
        lambda: [(count, {"event": name}) for name, count in event_counts.items()],
    )


def _callback(read: Callable[[], Values]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: [Observation(value, attributes) for value, attributes in read()]


def _find_request_middleware(app: FastAPI) -> RequestMiddleware:
    layer: Any = app.middleware_stack
    while not isinstance(layer, RequestMiddleware):
        layer = layer.app
    return layer


def trace_statements(tracer: Tracer, engine: AsyncEngine) -> None:
    """Add a span for each statement of a request, with its text but without its parameters."""
    system = engine.dialect.name

    def begin(
        _connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        context: ExecutionContext,
        _many: bool,
    ) -> None:
        if trace.get_current_span().is_recording():
            operation = statement.split(maxsplit=1)[0].upper().rstrip(";")
            attributes = {"db.system.name": system, "db.query.text": statement}
            span = tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=attributes)
            setattr(context, _SPAN, span)

    def end(*arguments: Any) -> None:
        context = arguments[4]
        if (span := getattr(context, _SPAN, None)) is not None:
            span.end()

    def fail(error: ExceptionContext) -> None:
        if (span := getattr(error.execution_context, _SPAN, None)) is not None:
            span.set_attribute("error.type", type(error.original_exception).__name__)
            span.set_status(StatusCode.ERROR)
            span.end()

    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", end)
    event.listen(engine.sync_engine, "handle_error", fail)
