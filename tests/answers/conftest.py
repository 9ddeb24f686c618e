"""Fixtures that generate services, and check what is on disk afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.main import cookiecutter

from dev import ROOT, TEMPLATE
from tests.answers.cases import GOOD, PROBE
from tests.answers.support import Generate, tree


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A user configuration for cookiecutter."""
    path = tmp_path / "config.yaml"
    folders = {"cookiecutters_dir": str(tmp_path / "t"), "replay_dir": str(tmp_path / "r")}
    path.write_text(json.dumps(folders), "utf-8")
    return path


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """The output folder. The folder next to it must not change."""
    path = tmp_path / "outer/parent"
    path.mkdir(parents=True)
    (path.parent / "victim").mkdir()
    (path.parent / "victim/file").write_text("precious", "utf-8")
    return path


@pytest.fixture
def generate(parent: Path, config: Path) -> Generate:
    """Generate from good answers with some changes."""

    def call(template: Path = ROOT, *, replay: Path | None = None, **options: Any) -> Path:
        answers = {**GOOD, **options.pop("answers", {})}
        if replay is None:
            options |= {"no_input": True, "extra_context": answers}
        else:
            options |= {"replay": str(replay)}
        return Path(
            cookiecutter(str(template), output_dir=str(parent), config_file=str(config), **options)
        )

    return call


@pytest.fixture
def untouched(parent: Path) -> Iterator[None]:
    """Check after the test that the output folder and those around it are as before."""
    before = tree(parent.parent)
    yield
    assert tree(parent.parent) == before


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A small template with our answers and checks, which is generated in no time."""
    template = tmp_path / "probe"
    folder = template / TEMPLATE.name
    folder.mkdir(parents=True)
    (template / "hooks").mkdir()
    for name in ("cookiecutter.json", "hooks/pre_gen_project.py"):
        (template / name).write_bytes((ROOT / name).read_bytes())
    for name, text in PROBE.items():
        (folder / name).write_text(text, "utf-8")
    return template
