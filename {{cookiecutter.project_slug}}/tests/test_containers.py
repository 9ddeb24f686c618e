"""Dockerfile and compose.yaml fit the settings of the service; the scripts of the image work."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.core.config import ROOT, Settings

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")

# How long a process that stops waits for its mails (app/utils/email.py).
MAIL_SECONDS = 5
# Variables of other programs.
FOREIGN = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def default(field: str) -> float:
    return float(Settings.model_fields[field].default)


def test_variables_are_settings() -> None:
    names = {name.upper() for name in Settings.model_fields}
    image = re.findall(r"(?m)^(?:ENV|   ) ([A-Z_]+)=", DOCKERFILE)
    compose = re.findall(r"(?m)^ {4,6}([A-Z][A-Z_]+): ", COMPOSE)
    assert {"ENVIRONMENT", "HOST"} <= {*image}
    assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "TRUSTED_PROXIES"} <= {*compose}
    used = {name for name in [*image, *compose] if not name.startswith("POSTGRES_")}
    assert used - FOREIGN <= names


def test_image_runs_without_rights_and_stops_gracefully() -> None:
    assert "\nUSER 10001:10001\n" in DOCKERFILE
    assert "\nSTOPSIGNAL SIGTERM\n" in DOCKERFILE
    assert DOCKERFILE.endswith('\nCMD ["python", "-m", "app"]\n')


def test_port_of_the_image_is_that_of_the_service() -> None:
    port = Settings.model_fields["port"].default
    assert f"\nEXPOSE {port}\n" in DOCKERFILE
    assert f':{port}"]' in COMPOSE


def test_container_has_time_to_stop() -> None:
    grace = int(re.findall(r"stop_grace_period: (\d+)s", COMPOSE)[0])
    assert grace > default("shutdown_delay") + default("shutdown_timeout") + MAIL_SECONDS


def test_compose_file_has_no_secret() -> None:
    for name in ("SECRET_KEY", "FIRST_SUPERUSER_EMAIL", "FIRST_SUPERUSER_PASSWORD"):
        assert f'{name}: "${{{name}:?' in COMPOSE


@pytest.mark.parametrize("name", [".env", ".git", ".venv", "var", "tests"])
def test_private_files_stay_out_of_the_image(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    assert f"!{name}" not in lines


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 503)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("path", "status"), [("/livez", 0), ("/readyz", 1)])
def test_health_check_fails_on_anything_but_200(port: int, path: str, status: int) -> None:
    command = [sys.executable, str(ROOT / "scripts/healthcheck.py"), path]
    environment = {**os.environ, "PORT": str(port), "HTTP_PROXY": "http://127.0.0.1:9"}
    assert subprocess.run(command, env=environment, check=False).returncode == status


def test_health_check_fails_without_a_service() -> None:
    command = [sys.executable, str(ROOT / "scripts/healthcheck.py"), "/livez"]
    environment = {**os.environ, "PORT": "9"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "ConnectionRefusedError" in done.stdout


DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def pin_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, and a program `docker` that knows every digest."""
    for name in ("Dockerfile", "compose.yaml", "scripts/pin_images.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(f"#!/bin/sh\necho {DIGEST}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="the program `docker` is a shell script")
def test_images_are_pinned_by_their_digests(pin_images: Path) -> None:
    for _ in range(2):  # pinning again replaces the digests
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(pin_images / "scripts/pin_images.py"), run_name="__main__")
        assert end.value.code == 0
    dockerfile = (pin_images / "Dockerfile").read_text("utf-8")
    assert re.search(rf"(?m)^FROM python:3\.\d+-slim-\w+@{DIGEST} AS base$", dockerfile)
    assert dockerfile.replace(f"@{DIGEST}", "") == DOCKERFILE
    compose = (pin_images / "compose.yaml").read_text("utf-8")
    assert compose.count(f"@{DIGEST}\n") == COMPOSE.count(" image: ")


@pytest.mark.skipif(sys.platform == "win32", reason="the program `docker` is a shell script")
def test_nothing_is_pinned_without_a_registry(pin_images: Path) -> None:
    (pin_images / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(SystemExit, match="no file was changed"):
        runpy.run_path(str(pin_images / "scripts/pin_images.py"), run_name="__main__")
    assert (pin_images / "Dockerfile").read_text("utf-8") == DOCKERFILE
