"""The line in the log about what a server leaves out."""

import sys
from types import ModuleType
from typing import Any

import pytest

from app.core.config import Settings
from app.http.server import report_missing_features

PROXIES = "TRUSTED_PROXIES as the only rule for forwarded headers"


@pytest.fixture(autouse=True)
def _not_served_by_uvicorn_with_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("app.http.protocol", "granian", "hypercorn"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def missing(caplog: pytest.LogCaptureFixture, level: str = "WARNING") -> list[str]:
    (line,) = caplog.records
    assert line.levelname == level
    assert "docs/servers.md" in line.message
    names: list[str] = vars(line)["missing"]
    return names


def test_python_m_app_lacks_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "app.http.protocol", ModuleType("protocol"))
    report_missing_features(settings, has_delay=True)
    assert caplog.records == []


def test_bare_uvicorn(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    report_missing_features(settings, has_delay=True)
    assert missing(caplog) == ["SHUTDOWN_TIMEOUT", "connection limits", PROXIES]


@pytest.mark.parametrize("settings_values", [{"environment": "development"}])
def test_development_has_no_delay_to_miss(
    settings: Settings, settings_values: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    report_missing_features(settings, has_delay=False)
    assert missing(caplog, "INFO") == ["SHUTDOWN_TIMEOUT", "connection limits", PROXIES]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("granian", ["SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY", "connection limits"]),
        ("hypercorn", ["SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY"]),
    ],
)
def test_other_servers(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    expected: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, server, ModuleType(server))
    report_missing_features(settings, has_delay=False)
    assert missing(caplog) == expected
