"""The line in the log about what a server leaves out."""

import sys
from types import ModuleType
from typing import Any

import pytest
import uvicorn

from app.core.config import Settings
from app.http.server import PROXIES, report_missing_features
from app.http.shutdown import shutdown

OURS = {"http": "app.http.protocol", "proxy_headers": False, "timeout_graceful_shutdown": 20}


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("app.http.protocol", "granian", "gunicorn", "hypercorn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(shutdown, "server_handler", None)


def missing(caplog: pytest.LogCaptureFixture, level: str = "WARNING") -> list[str]:
    (line,) = caplog.records
    assert line.levelname == level
    assert "docs/servers.md" in line.message
    names: list[str] = vars(line)["missing"]
    return names


def serve_with_uvicorn(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    if options.pop("http", None):
        monkeypatch.setitem(sys.modules, "app.http.protocol", ModuleType("protocol"))
    server = uvicorn.Server(uvicorn.Config("nothing:app", log_config=None, **options))
    monkeypatch.setattr(shutdown, "server_handler", server.handle_exit)


def test_python_m_app_lacks_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_with_uvicorn(monkeypatch, **OURS)
    report_missing_features(settings, has_delay=True)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["SHUTDOWN_TIMEOUT", "connection limits", PROXIES]),
        (OURS | {"http": None}, ["connection limits"]),
        (OURS | {"proxy_headers": True}, [PROXIES]),
        (OURS | {"proxy_headers": True, "forwarded_allow_ips": ""}, []),
        (OURS | {"proxy_headers": True, "forwarded_allow_ips": []}, []),
        (OURS | {"timeout_graceful_shutdown": None}, ["SHUTDOWN_TIMEOUT"]),
    ],
)
def test_options_of_uvicorn_are_taken_into_account(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    expected: list[str],
) -> None:
    serve_with_uvicorn(monkeypatch, **options)
    report_missing_features(settings, has_delay=True)
    assert (missing(caplog) if caplog.records else []) == expected


@pytest.mark.parametrize("settings_values", [{"environment": "development"}])
def test_development_has_no_delay_to_miss(
    settings: Settings, settings_values: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    report_missing_features(settings, has_delay=False)
    assert missing(caplog, "INFO") == ["SHUTDOWN_TIMEOUT", "connection limits"]


@pytest.mark.parametrize(
    ("server", "arguments", "expected"),
    [
        ("granian", [], ["SHUTDOWN_TIMEOUT", "connection limits", "SHUTDOWN_DELAY"]),
        ("hypercorn", [], ["SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY"]),
        ("gunicorn", [], ["SHUTDOWN_TIMEOUT", "connection limits", PROXIES, "SHUTDOWN_DELAY"]),
        (
            "gunicorn",
            ["--forwarded-allow-ips="],
            ["SHUTDOWN_TIMEOUT", "connection limits", "SHUTDOWN_DELAY"],
        ),
    ],
)
def test_other_servers(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    arguments: list[str],
    expected: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, server, ModuleType(server))
    monkeypatch.setattr(sys, "argv", [server, *arguments])
    report_missing_features(settings, has_delay=False)
    assert missing(caplog) == expected
