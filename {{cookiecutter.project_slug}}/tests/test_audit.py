"""Vulnerabilities that the audit ignores have a reason and a last day."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from scripts import audit

TODAY = date(2026, 12, 31)
ENTRY = {"id": "PYSEC-2026-17", "reason": "nothing here parses XML", "until": TODAY}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"until": date(2026, 12, 30)}, "ignored until 2026-12-30"),
        ({"until": None}, "needs a last day"),
        ({"until": "2026-12-31"}, "needs a last day"),
        ({"reason": " "}, "needs an id and a reason"),
        ({"reason": None}, "needs an id and a reason"),
        ({"id": None}, "needs an id and a reason"),
    ],
)
def test_ignored_vulnerability_needs_reason_and_last_day(
    change: dict[str, Any], problem: str | None
) -> None:
    problems = audit.find_problems([ENTRY | change], TODAY)
    assert len(problems) == (1 if problem else 0)
    assert problem is None or problem in problems[0]


def test_audit_fails_after_the_last_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it asks PyPI."""
    entry = 'id = "PYSEC-2026-17"\nreason = "nothing here parses XML"\nuntil = 2025-01-01\n'
    (tmp_path / "pyproject.toml").write_text(f"[[tool.audit.ignore]]\n{entry}")
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    assert audit.main() == 1
    assert "PYSEC-2026-17: was ignored until 2025-01-01" in capsys.readouterr().out


def test_audit_passes_on_the_findings_of_pip_audit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = 'id = "PYSEC-2026-17"\nreason = "nothing here parses XML"\nuntil = 9999-12-31\n'
    (tmp_path / "pyproject.toml").write_text(f"[[tool.audit.ignore]]\n{entry}")
    command = [sys.executable, "-c", "import sys; sys.exit(len(sys.argv))"]
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(audit, "COMMAND", command)
    assert audit.main() == 2  # one option
