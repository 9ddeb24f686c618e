"""Fixtures: a toy service, its package index, and the installer to use."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.setup.toybox import UV, UV_PROGRAM, Index, Service


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = index.answer(self.path)
            with contextlib.suppress(OSError):  # the client may have been killed
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 -- http.server looks for this name

        def log_message(self, *args: object) -> None:
            pass  # pytest's output stays readable

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.address = f"http://127.0.0.1:{server.server_port}/simple/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield index
    index.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("caches")
    return {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}


@pytest.fixture
def service(tmp_path: Path, index: Index, caches: dict[str, str]) -> Service:
    """A toy service, in a folder with an awkward name, on a machine that has uv."""
    programs = tmp_path / "programs"
    programs.mkdir()
    assert UV is not None
    if os.name == "nt":
        shutil.copy(UV, programs)
    else:
        (programs / "uv").write_text(UV_PROGRAM)
        (programs / "uv").chmod(0o755)
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_", "PYTHON", "TOY_"))
    }
    env |= {
        **caches,
        "PATH": str(programs),
        # Python up to 3.14 on Windows writes another encoding into a pipe.
        "PYTHONIOENCODING": "utf-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.address,
        "PIP_RETRIES": "0",
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": index.address,
        "UV_HTTP_RETRIES": "0",
        "TOY_MARK": str(tmp_path / "mark"),
    }
    return Service(tmp_path / "it's a 'sérvice' 100%s", index, env)


@pytest.fixture(params=["uv", "pip"])
def installer(request: pytest.FixtureRequest, service: Service) -> str:
    """Both ways to install packages."""
    if request.param == "pip":
        service.hide_uv()
    return str(request.param)


@pytest.fixture
def disk(service: Service, small_disk: Path) -> Path:
    """Return a small disk, to which the service has been moved."""
    service.root = Path(shutil.copytree(service.root, small_disk / "service"))
    return small_disk
