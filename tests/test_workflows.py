"""The workflows cover every platform, with few rights."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from dev import ROOT

WORKFLOWS = {path.name: path for path in (ROOT / ".github/workflows").glob("*.yml")}


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    return loaded


def test_ci_runs_on_every_system_and_python() -> None:
    job = workflow("ci.yml")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert matrix.keys() == {"system", "python"}  # and excludes nothing
    assert sorted(name.partition("-")[0] for name in matrix["system"]) == [
        "macos",
        "ubuntu",
        "windows",
    ]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert job["runs-on"] == "${{ matrix.system }}"
    setup = next(step for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"
    assert job["timeout-minutes"] <= 25
    assert "if" not in job
    assert "continue-on-error" not in job


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_has_read_access_and_pinned_actions(name: str) -> None:
    content = workflow(name)
    assert content["permissions"] == {}
    for job in content["jobs"].values():
        assert set(job["permissions"].values()) <= {"read"}
        for step in job["steps"]:
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{'0' * 40}"))
