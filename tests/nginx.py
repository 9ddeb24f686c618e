"""Serves a generated service through a real nginx, if one is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.running import free_port, program, running, status

PREFIX = "/svc"
PASSWORD = "correct horse battery staple"
LOCATION = """
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{ proxy_pass {target}; }}
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
"""
CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""


def check(project: Path, env: Mapping[str, str], folder: Path) -> None:
    """Use the service under a path of nginx, in each of the ways that our documents name."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    env = {**env, "TRUSTED_PROXIES": "127.0.0.1, unix", "RATE_LIMIT_ENABLED": "false"}
    socket = folder / "socket"
    with (
        running(project, env | {"ROOT_PATH": PREFIX}) as configured,
        running(project, env, options=["--root-path", PREFIX]) as option,
        on_socket(project, env, socket),
        nginx(
            folder,
            configured.address,
            f"{configured.address}/",
            option.address,
            f"{option.address}/",
            f"http://unix:{socket}:/",
        ) as (keeps, strips, option_keeps, option_strips, unix),
    ):
        for number, address in enumerate((keeps, strips, option_keeps, option_strips)):
            use(address, f"user{number}@example.com")
        use_docs(unix)
        # This process doesn't know the path.
        assert session_address(unix, "unix@example.com", location="") == "127.0.0.1"
        assert status(f"{configured.address}/livez") == 200


@contextmanager
def nginx(folder: Path, *targets: str) -> Iterator[list[str]]:
    """Run nginx, with a port for each target, and yield the addresses."""
    ports = [free_port(0) for _ in targets]
    servers = "".join(
        LOCATION.format(port=port, prefix=PREFIX, target=target)
        for port, target in zip(ports, targets, strict=True)
    )
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=folder, user=user, servers=servers), encoding="utf-8"
    )
    process = subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)])
    try:
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        for address in addresses:
            wait_until_alive(address)
        yield addresses
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def on_socket(project: Path, env: Mapping[str, str], socket: Path) -> Iterator[None]:
    """Run the service on a Unix socket, knowing nothing of its path."""
    command = [program(project, "uvicorn"), "app.main:app", "--uds", str(socket)]
    process = subprocess.Popen(command, cwd=project, env=env, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_alive(address: str) -> None:
    deadline = time.monotonic() + 60
    while status(f"{address}{PREFIX}/livez") != 200:
        assert time.monotonic() < deadline, address
        time.sleep(0.1)


def use(address: str, email: str) -> None:
    """Use everything that names a path."""
    use_docs(address)
    request = urllib.request.Request(f"{address}{PREFIX}/livez", method="HEAD")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{address}{PREFIX}/nothing", timeout=30)
    assert json.load(raised.value)["instance"] == f"{PREFIX}/nothing"
    raised.value.close()
    assert session_address(address, email, location=PREFIX) == "127.0.0.1"


def use_docs(address: str) -> None:
    """Load everything that /docs needs, and find the URL of its Authorize button."""
    page = f"{address}{PREFIX}/docs"
    html = fetch(page).decode()
    loaded = re.findall(r"(?:(?:src|href)=\"|url: ')([^\"']+)", html)
    assert len(loaded) == 4
    for url in loaded:
        assert fetch(urllib.parse.urljoin(page, url))
    where = f"{address}{PREFIX}/openapi.json"
    document = json.loads(fetch(where))
    server = urllib.parse.urljoin(where, document["servers"][0]["url"])
    assert server.rstrip("/") == f"{address}{PREFIX}"
    (scheme,) = document["components"]["securitySchemes"].values()
    url = urllib.parse.urljoin(where, scheme["flows"]["password"]["tokenUrl"])
    assert url == f"{address}{PREFIX}/api/v1/auth/token"


def session_address(address: str, email: str, location: str) -> str:
    """Sign up and in, and return the client's address that the service has stored.

    The path of the new account starts with *location*.
    """
    base = f"{address}{PREFIX}/api/v1"
    body = json.dumps({"email": email, "password": PASSWORD}).encode()
    request = urllib.request.Request(f"{base}/users", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        user = json.load(response)
        assert response.headers["Location"] == f"{location}/api/v1/users/{user['id']}"
    form = urllib.parse.urlencode({"username": email, "password": PASSWORD}).encode()
    tokens = json.loads(fetch(f"{base}/auth/token", form))
    token = {"Authorization": f"Bearer {tokens['access_token']}"}
    (session,) = json.loads(fetch(f"{base}/users/me/sessions", None, token))
    return str(session["ip_address"])


def fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers or {})
    with urllib.request.urlopen(request, timeout=30) as response:
        data: bytes = response.read()
    return data
