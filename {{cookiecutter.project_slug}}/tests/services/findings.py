"""Runs the doctor with other settings."""

from typing import Any

from app.core.config import Settings
from app.services.doctor_service import Finding, diagnose
from tests.support import TestSettings

DEPLOYED = {
    "environment": "production",
    "secret_key": "XhCqrL4z0TnB2vW8sKpE6yUaJd9mGf3i",
    "email_enabled": False,
    "trusted_proxies": "10.0.0.0/8",
}


def changed(settings: Settings, **values: Any) -> Settings:
    return TestSettings(**(settings.model_dump() | values))


async def find(settings: Settings, subject: str, **values: Any) -> list[Finding]:
    """Return the findings about a subject that are not ok, with these settings."""
    findings = await diagnose(changed(settings, **values))
    assert all(finding.fix for finding in findings if finding.level != "ok")
    return [finding for finding in findings if finding.subject == subject if finding.level != "ok"]
