"""A collector on loopback receives what real processes send by OTLP."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import URL

from app.core.config import PROJECT_SLUG, ROOT
from tests.service import Service, running_service
from tests.support import AUTH, ME, PASSWORD, USERS, sign_up_body

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("database")]

OBSERVABILITY = ROOT / "observability"
# A metric in a query, and the labels that it is selected by.
METRIC = re.compile(r"\b((?:http_server|db_client|app)_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*[=!]")


class Collector(ThreadingHTTPServer):
    """Keeps the spans and metrics that it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[Any] = []
        # By name: the attributes of each data point; and the workers that sent it.
        self.metrics: dict[str, list[dict[str, str]]] = {}
        self.instances: set[str] = set()
        self.services: set[str] = set()

    def add(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in part.scope_spans:
                    self.spans += scope.spans
        else:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                own = attributes(resource.resource)
                self.instances.add(own["service.instance.id"])
                self.services.add(own["service.name"])
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        data = getattr(metric, metric.WhichOneof("data"))
                        found = self.metrics.setdefault(metric.name, [])
                        found += [attributes(point) for point in data.data_points]


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.add(self.path, body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


def attributes(part: Any) -> dict[str, str]:
    return {item.key: item.value.string_value for item in part.attributes}


@contextmanager
def running_collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def use(service: Service) -> None:
    with httpx2.Client(base_url=service.address) as client:
        client.post(USERS, json=sign_up_body("ada@example.com"))
        form = {"username": "ada@example.com", "password": PASSWORD}
        client.post(f"{AUTH}/token", data=form | {"password": "wrong"})
        tokens = client.post(f"{AUTH}/token", data=form).json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        assert client.get(ME, params={"q": "s3cret"}).status_code == 200


@pytest.fixture(scope="module")
def observed(
    migrated_database_url: URL, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Collector, list[dict[str, Any]]]:
    """A collector with the data of two workers, and the lines of their log."""
    with (
        running_collector() as collector,
        running_service(
            migrated_database_url,
            tmp_path_factory.mktemp("telemetry"),
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_METRIC_EXPORT_INTERVAL="200",
            OTEL_BSP_SCHEDULE_DELAY="100",
            WEB_CONCURRENCY="2",
            SHUTDOWN_DELAY="0",
        ) as service,
    ):
        use(service)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (
            len(collector.instances) == 2
            and "app.security.events" in collector.metrics
            and any(span.name == f"GET {ME}" for span in collector.spans)
        ):
            time.sleep(0.05)
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    return collector, lines


def test_trace_has_route_statement_and_log_line(
    observed: tuple[Collector, list[dict[str, Any]]],
) -> None:
    collector, lines = observed
    (request,) = [span for span in collector.spans if span.name == f"GET {ME}"]
    assert attributes(request)["http.route"] == ME
    assert attributes(request)["url.query"] == "REDACTED"
    trace_id = request.trace_id.hex()
    statements = [
        span
        for span in collector.spans
        if span.name == "SELECT" and span.trace_id == request.trace_id
    ]
    assert statements
    assert attributes(statements[0])["db.query.text"].startswith("SELECT ")
    (line,) = [line for line in lines if line.get("route") == ME]
    assert line["trace_id"] == trace_id
    assert "s3cret" not in str(collector.spans)
    assert PASSWORD not in str(collector.spans)


def test_probes_are_not_traced(observed: tuple[Collector, list[dict[str, Any]]]) -> None:
    assert not [span for span in observed[0].spans if "livez" in span.name]


def test_each_worker_is_an_instance_of_the_service(
    observed: tuple[Collector, list[dict[str, Any]]],
) -> None:
    collector, _ = observed
    assert len(collector.instances) == 2
    assert collector.services == {PROJECT_SLUG}


def prometheus_names(collector: Collector) -> dict[str, set[str]]:
    """Return names and labels as Prometheus has them after it has received OTLP."""
    names: dict[str, set[str]] = {}
    for name, points in collector.metrics.items():
        base = name.replace(".", "_")
        labels = {label.replace(".", "_") for point in points for label in point}
        if name == "http.server.request.duration":
            for suffix in ("bucket", "count", "sum"):
                names[f"{base}_seconds_{suffix}"] = labels | {"le"}
        elif name in {"app.mails.finished", "app.security.events"}:
            names[f"{base}_total"] = labels
        else:
            names[base] = labels
    return names


def test_dashboard_and_alerts_use_metrics_that_the_service_sends(
    observed: tuple[Collector, list[dict[str, Any]]],
) -> None:
    names = prometheus_names(observed[0])
    for path in OBSERVABILITY.iterdir():
        used = METRIC.findall(path.read_text(encoding="utf-8"))
        assert len(used) > 3, path
        for name, labels in used:
            assert name in names, f"{path.name}: {name}"
            found = set(LABEL.findall(labels)) - {"job", "instance"}
            assert found <= names[name], f"{path.name}: {name} has no {found - names[name]}"


def test_each_alert_and_metric_is_explained() -> None:
    document = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    alerts = (OBSERVABILITY / "alerts.yml").read_text(encoding="utf-8")
    for name in re.findall(r"- alert: (\w+)", alerts):
        assert f"| `{name}` |" in document
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        assert panel["title"].startswith("Database connections") or panel["title"] in document
