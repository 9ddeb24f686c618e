"""A generated service for benchmarks, and percentiles of what they measure."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cookiecutter.main import cookiecutter

from dev import ROOT
from tools.running import remove_local_postgres, set_up

# Scripts that run in the environment of the service and import its modules.
INSIDE = ROOT / "benchmarks" / "inside"


@contextmanager
def generated_service(database: str, template: Path = ROOT) -> Iterator[Path]:
    """Generate a service in a temporary folder and set it up; yield its folder."""
    print("Generating a service and setting it up ...", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)  # PostgreSQL runs as another user when this is root
        project = Path(
            cookiecutter(
                str(template),
                no_input=True,
                extra_context={"database": database, "init_git": "no"},
                default_config={"replay_dir": str(folder / "replay")},
                output_dir=str(folder),
            )
        )
        set_up(project)
        try:
            yield project
        finally:
            remove_local_postgres(project)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
