"""docs/deployment.md works: its release steps, its systemd unit and its site of nginx.

The steps run as they stand, but in another folder, on other ports, and with stand-ins for the
programs that need an administrator or systemd.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dev import TEMPLATE, clean_environment
from tests import documents
from tests.conftest import Bake
from tests.nginx import CONFIGURATION
from tests.support import commit, git
from tools.running import free_port, status

DOCUMENT = TEMPLATE / "docs/deployment.md"
TEXTS = {section.title: section.text for section in documents.read_sections(DOCUMENT, TEMPLATE)}
BLOCKS = documents.read_blocks(DOCUMENT, TEMPLATE)
(UNIT,) = [block.text for block in BLOCKS if block.language == "ini"]
(SITE,) = [block.text for block in BLOCKS if block.language == "nginx"]
(ONCE,) = [block.text for block in BLOCKS if "useradd" in block.text]
(RELEASE,) = [block.text for block in BLOCKS if "git clone" in block.text]

# In place of the programs that change accounts, or start processes as another account.
STAND_INS = {
    "useradd": "#!/bin/sh\n",
    "install": """#!/bin/sh
while getopts dg:m:o: name
do
    [ "$name" != d ] || directory=-d
done
shift "$((OPTIND - 1))"
exec {install} $directory "$@"
""",
    "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n',
    "systemctl": "#!{python}\n"
    + """
import os, signal, subprocess, sys, time
from pathlib import Path
_, action, unit = sys.argv
assert action == "restart"
port = unit.partition("@")[2]
record = Path("{root}", port + ".pid")
if record.exists():
    number = int(record.read_text())
    os.kill(number, signal.SIGTERM)
    state = ["ps", "-o", "stat=", "-p", str(number)]
    while subprocess.run(state, stdout=-1, text=True).stdout.strip(" Z\\n"):
        time.sleep(0.05)
with open("{root}/log", "ab") as log:
    process = subprocess.Popen(
        "{start}".split(), cwd="{folder}", env=os.environ | {{"PORT": port}},
        stdin=-3, stdout=log, stderr=log, start_new_session=True,
    )
record.write_text(str(process.pid))
""",
}


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keep upper case
    parser.read_string(UNIT)
    return parser["Service"]


def example_settings() -> dict[str, str]:
    text = (TEMPLATE / "example.env").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_systemd_waits_until_the_service_has_stopped() -> None:
    settings = example_settings()
    mailer = (TEMPLATE / "app/utils/email.py").read_text(encoding="utf-8")
    (mails,) = re.findall(r"shutdown_grace: float = (\d+)", mailer)
    needed = float(settings["SHUTDOWN_DELAY"]) + int(settings["SHUTDOWN_TIMEOUT"]) + int(mails)
    assert needed < int(unit()["TimeoutStopSec"]) <= needed + 5
    assert f"after {needed:g} by default" in TEXTS["Everywhere"]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    path = tmp_path / "service@8001.service"
    path.write_text(UNIT.replace(unit()["ExecStart"].split()[0], sys.executable))
    verify = ["systemd-analyze", "verify", str(path)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "service@8001" not in done.stderr  # it warns of names that it doesn't know
    rate = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)]
    done = subprocess.run(rate, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


class Host:
    """A folder that stands for the file system of a host."""

    def __init__(self, root: Path, repository: Path) -> None:
        self.root = root
        self.repository = repository
        self.ports = {"8001": free_port(0), "8002": free_port(0)}
        self.env_file = root / "etc/service.env"
        for folder in ("etc", "bin"):
            (root / folder).mkdir()
        values = {
            "root": root,
            "python": sys.executable,
            "install": shutil.which("install"),
            "start": self.text(unit()["ExecStart"]),
            "folder": self.text(unit()["WorkingDirectory"]),
        }
        for name, text in STAND_INS.items():
            path = root / "bin" / name
            path.write_text(text.format(**values))
            path.chmod(0o755)

    def text(self, text: str) -> str:
        """Replace folders and ports of a block, and pip, which takes ten times as long as uv."""
        text = text.replace(".venv/bin/python -m pip install", "uv pip install --python .venv")
        text = re.sub(r"(?<![\w/])(?=/(?:srv|etc|var/lib)/service)", str(self.root), text)
        for port, number in self.ports.items():
            text = text.replace(port, str(number))
        return text

    def run(self, script: str) -> None:
        env = clean_environment()
        env |= {"REPOSITORY": self.repository.as_uri(), "VERSION": "main"}
        env["PATH"] = f"{self.root / 'bin'}{os.pathsep}{env['PATH']}"
        documents.run_shell(self.text(script), self.repository, env)

    def stop(self) -> None:
        for path in self.root.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def host(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host on which the service runs, after the steps of the document."""
    if os.name == "nt" or shutil.which("curl") is None:
        pytest.skip("the steps need Linux or macOS, and curl")
    repository = tmp_path_factory.mktemp("repository")
    shutil.copytree(bake({}), repository, dirs_exist_ok=True)
    git(repository, "init", "--quiet", "--initial-branch=main")
    commit(repository, "First release")
    host = Host(tmp_path_factory.mktemp("host"), repository)
    host.run(ONCE)
    settings = {
        "ENVIRONMENT": "production",
        "TRUSTED_PROXIES": "127.0.0.1",
        "LOG_FORMAT": "json",
        "DATABASE_URL": f"sqlite:///{host.root}/var/lib/service/app.db",
        "EMAIL_ENABLED": "false",
        "SECRET_KEY": "kv7Mz2qR9tX4wB6kv7Mz2qR9tX4wB6kv7Mz2",
        "FIRST_SUPERUSER_PASSWORD": "kv7 Mz2 qR9 tX4 wB6",
        "SHUTDOWN_DELAY": "0.5",
    }
    text = host.env_file.read_text(encoding="utf-8")
    for name, value in settings.items():
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    host.env_file.write_text(text, encoding="utf-8")
    try:
        host.run(RELEASE)
        yield host
    finally:
        host.stop()


def test_release_runs_on_both_ports(host: Host) -> None:
    for port in host.ports.values():
        assert status(f"http://127.0.0.1:{port}/readyz") == 200
    assert (host.root / "srv/service/current/.env").resolve() == host.env_file
    assert [path.name for path in (host.root / "var/lib/service").glob("app.db")] == ["app.db"]


@contextmanager
def site(host: Host, folder: Path) -> Iterator[str]:
    """Serve the document's site with nginx, and yield its address."""
    http, https = free_port(0), free_port(0)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        check=True,
    )
    servers = re.sub(r"^ *listen \[::\].*\n", "", host.text(SITE), flags=re.MULTILINE)
    servers = servers.replace("listen 80", f"listen 127.0.0.1:{http}")
    servers = servers.replace("listen 443", f"listen 127.0.0.1:{https}")
    servers = re.sub(r"/etc/letsencrypt/.*/fullchain.pem", str(certificate), servers)
    servers = re.sub(r"/etc/letsencrypt/.*/privkey.pem", str(key), servers)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, user=user, servers=servers))
    process = subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)])
    try:
        yield f"https://127.0.0.1:{https}"
    finally:
        process.terminate()
        process.wait(timeout=30)


class Client(threading.Thread):
    """Sends requests that a proxy may not repeat, and records their statuses, until it is stopped."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.statuses: list[int | str] = []
        self.stopped = threading.Event()
        self.url = f"{address}/api/v1/users/me"
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def run(self) -> None:
        while not self.stopped.wait(0.01):
            request = urllib.request.Request(self.url, b"{}", method="PATCH")
            try:
                urllib.request.urlopen(request, timeout=30, context=self.context)
            except urllib.error.HTTPError as error:
                self.statuses.append(error.code)
                error.close()
            except OSError as error:
                self.statuses.append(str(error))


def test_clients_do_not_notice_a_release(host: Host, tmp_path: Path) -> None:
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed")
    before = {path.name: path.read_text() for path in host.root.glob("*.pid")}
    with site(host, tmp_path) as address:
        client = Client(address)
        deadline = time.monotonic() + 30
        client.start()
        while 401 not in client.statuses:
            assert time.monotonic() < deadline, client.statuses[-3:]
            time.sleep(0.05)
        client.statuses.clear()
        folder = host.root / "srv/service/current"
        restart = RELEASE[RELEASE.index("ln -sfn") :]
        host.run(f"release={folder.resolve()}\n{restart}")
        client.stopped.set()
        client.join()
    after = {path.name: path.read_text() for path in host.root.glob("*.pid")}
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)
    assert len(client.statuses) > 20
    assert {*client.statuses} == {401}
