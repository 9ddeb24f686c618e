"""The image of a service is built and started, without Docker: see tests/image.py."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Bake
from tests.image import Image, context_of, make_read_only
from tests.test_documents import set_up
from tools.running import program, remove_local_postgres

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the image is for Linux")

MEGABYTE = 1_000_000
SECRETS = {
    "SECRET_KEY": "kv7Mz2qR9tX4wB6nP3sD8fG5hJ1lC0yA",
    "FIRST_SUPERUSER_EMAIL": "root@example.com",
    "FIRST_SUPERUSER_PASSWORD": "kv7 Mz2 qR9 tX4 wB6",
}
# Files of a checkout that must not get into an image.
PRIVATE = {
    ".env": "ENVIRONMENT=development\nSECRET_KEY=private\n",
    ".venv/bin/python": "private",
    ".git/config": "private",
    "app/.env": "private",
    "app/__pycache__/main.cpython-311.pyc": "private",
    "var/app.db": "private",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of the image can reach; root's temporary files are for root only."""
    path = Path(tempfile.mkdtemp(prefix="image"))
    path.chmod(0o755)
    (path / "tmp").mkdir()
    (path / "tmp").chmod(0o777)
    yield path
    for inner in [path, *path.rglob("*")]:
        if inner.is_dir() and not inner.is_symlink():
            inner.chmod(0o755)
    shutil.rmtree(path)


@pytest.fixture
def checkout(bake: Bake, tmp_path: Path) -> Path:
    """A service with private files, as after a set-up."""
    project = tmp_path / "checkout"
    shutil.copytree(bake({"database": "sqlite"}), project)
    for name, text in PRIVATE.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def files(tree: Path) -> set[str]:
    return {p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.parts[-2:-1] != ("data",)}


def test_only_sources_are_sent_to_the_build(checkout: Path) -> None:
    names = context_of(checkout)
    assert not {*PRIVATE} & {*names}
    assert {"app/main.py", "alembic/env.py", "alembic.ini", "requirements.txt"} <= {*names}
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"alembic", "alembic.ini", "app", "requirements.txt", "scripts"}


def test_image_is_built_and_runs(
    checkout: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = build(checkout, folder)
    report(image, capsys)
    assert sum(image.sizes().values()) < 110 * MEGABYTE
    before = files(image.tree)
    own = {name for name in before if not name.startswith("usr/")}
    assert not any(name.endswith((".env", "/pip", "/setuptools")) for name in own)

    run_service(image, checkout, f"sqlite:///{image.tree}/data/app.db")

    assert files(image.tree) == before


@pytest.mark.nightly
def test_image_runs_with_postgresql(folder: Path, tmp_path: Path) -> None:
    project = set_up(tmp_path, "postgresql")
    image = build(project, folder)
    server = subprocess.Popen(
        [program(project, "python"), "-m", "app.db.local_postgres"],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        run_service(image, project, server.stdout.readline().strip())
    finally:
        server.terminate()
        server.communicate()
        remove_local_postgres(project)


def build(project: Path, folder: Path) -> Image:
    image = Image(folder, project)
    image.build()
    make_read_only(image.tree)
    return image


def run_service(image: Image, project: Path, database_url: str) -> None:
    """Migrate, start, check the health and stop, as Compose does."""
    compose = yaml.safe_load((project / "compose.yaml").read_text("utf-8"))["services"]
    environment = compose["web"]["environment"]
    values = {
        **{name: value for name, value in environment.items() if "$" not in value},
        **SECRETS,
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": free_port(),
        "REDIS_URL": "",
    }
    with pytest.raises(AssertionError, match="ConnectionRefused"):
        image.run(image.healthcheck, values)
    migration = compose["migrate"]["command"]
    image.run(migration, values)
    image.run(migration, values)  # a second time changes nothing
    with image.container(values) as process:
        wait_until_healthy(image, process, values)
        image.run(compose["web"]["healthcheck"]["test"][1:], values)
        grace = float(compose["web"]["stop_grace_period"].rstrip("s"))
        process.send_signal(signal.Signals[image.stop_signal])
        with pytest.raises(AssertionError, match="/readyz: 503"):
            image.run(compose["web"]["healthcheck"]["test"][1:], values)
        assert process.wait(grace) in {0, -signal.SIGTERM}
    lines = [json.loads(line) for line in image.log().splitlines()]
    assert {line["level"] for line in lines} == {"info"}, image.log()


def wait_until_healthy(image: Image, process: Any, values: dict[str, str]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            image.run(image.healthcheck, values)
        except AssertionError:
            assert process.poll() is None, image.log()
            assert time.monotonic() < deadline, image.log()
            time.sleep(0.1)
        else:
            return


def report(image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    """Show the time of each step, and the size of each large package."""
    with capsys.disabled():
        print()
        for step, seconds in image.steps:
            if seconds >= 0.1:
                print(f"{seconds:6.1f} s  {step[:90]}")
        sizes = image.sizes()
        print(f"{sum(sizes.values()) / MEGABYTE:6.1f} MB  packages and service")
        for name, size in sizes.items():
            if size >= MEGABYTE:
                print(f"{size / MEGABYTE:6.1f} MB  {name}")
