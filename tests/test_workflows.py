"""The workflows of the template and of services cover what they should, with few rights."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import ROOT, TEMPLATE
from tests.conftest import Bake

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
OWN = sorted((ROOT / ".github/workflows").glob("*.yml"))
OF_SERVICES = sorted((TEMPLATE / ".github/workflows").glob("*.yml"))
# The only jobs that may write, by their workflow.
WRITING = {"upgrade.yml": "pull-request"}
TASK = re.compile(r"\.venv/bin/poe ([a-z-]+)")


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_ci_runs_on_every_system_and_python() -> None:
    job = load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert matrix.keys() == {"system", "python"}  # and excludes nothing
    assert sorted(name.partition("-")[0] for name in matrix["system"]) == [
        "macos",
        "ubuntu",
        "windows",
    ]
    assert matrix["python"] == PYTHONS
    assert job["runs-on"] == "${{ matrix.system }}"
    setup = next(step for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"
    assert job["timeout-minutes"] <= 25
    assert "if" not in job
    assert "continue-on-error" not in job


@pytest.mark.parametrize(
    "path", [*OWN, *OF_SERVICES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_workflow_has_read_access_and_pinned_actions(path: Path) -> None:
    content = load(path)
    assert content["permissions"] == {}
    for name, job in content["jobs"].items():
        rights = {"read", "write"} if WRITING.get(path.name) == name else {"read"}
        assert set(job["permissions"].values()) <= rights
        assert "timeout-minutes" in job
        for step in job["steps"]:
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{'0' * 40}"))


def test_no_package_runs_with_the_right_to_write() -> None:
    for name, job in WRITING.items():
        steps = load(TEMPLATE / ".github/workflows" / name)["jobs"][job]["steps"]
        script = "\n".join(step.get("run", "") for step in steps)
        assert "git push" in script
        assert not re.search(r"python|pip|poe (?!lock --upgrade\\`)|\.venv", script)


def test_each_action_has_one_version() -> None:
    texts = [path.read_text(encoding="utf-8") for path in [*OWN, *OF_SERVICES]]
    found = set(re.findall(r"uses: (\S+)@(\w+) # (\S+)", "".join(texts)))
    assert len({action for action, _, _ in found}) == len(found)


def test_services_are_checked_on_every_python(bake: Bake) -> None:
    github = load(bake({"ci": "github"}) / ".github/workflows/ci.yml")["jobs"]["check"]
    gitlab = load(bake({"ci": "gitlab"}) / ".gitlab-ci.yml")["check"]
    assert github["strategy"]["matrix"] == {"python": PYTHONS}
    assert gitlab["parallel"]["matrix"] == [{"PYTHON": PYTHONS}]
    assert github["steps"][-1]["run"] == gitlab["script"][-1] == ".venv/bin/poe check"


def test_github_and_gitlab_run_the_same_tasks(bake: Bake) -> None:
    project = bake({"ci": "github"})
    github = "".join(path.read_text("utf-8") for path in project.glob(".github/workflows/*.yml"))
    gitlab = (bake({"ci": "gitlab"}) / ".gitlab-ci.yml").read_text("utf-8")
    hooks = (project / ".pre-commit-config.yaml").read_text("utf-8")
    tasks = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["tool"]["poe"]["tasks"]
    assert {*TASK.findall(github)} == {*TASK.findall(gitlab)} == {"audit", "check", "lock", "sbom"}
    assert {*TASK.findall(hooks)} == {"check", "format-check", "lint"}
    assert tasks.keys() >= {"audit", "check", "format-check", "lint", "lock", "sbom"}


def test_container_for_development_sets_the_service_up(bake: Bake) -> None:
    project = bake({})
    settings = json.loads((project / ".devcontainer/devcontainer.json").read_text("utf-8"))
    python, script = settings["postCreateCommand"].split()
    assert python == "python3"
    assert (project / script).is_file()
    versions = [
        re.findall(r"python:([\d.]+)-", text)
        for text in (settings["image"], (project / "Dockerfile").read_text("utf-8"))
    ]
    assert versions[0] == versions[1] != []


@pytest.mark.parametrize(
    ("schema", "ci", "files"),
    [
        ("github-workflows", "github", ".github/workflows/*.yml"),
        ("dependabot", "github", ".github/dependabot.yml"),
        ("gitlab-ci", "gitlab", ".gitlab-ci.yml"),
    ],
)
def test_files_fit_the_schema(bake: Bake, schema: str, ci: str, files: str) -> None:
    paths = [*bake({"ci": ci}).glob(files), *ROOT.glob(files)]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    transform = ["--data-transform", "gitlab-ci"] if ci == "gitlab" else []
    done = subprocess.run(
        [*command, *transform, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert paths
    assert done.returncode == 0, done.stdout + done.stderr
