"""Each command of docs/servers.md starts the same service, as a process."""

import json
import re
import signal
import sys
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import URL, select

from app.core.config import ROOT
from app.core.event_loop import run
from app.db.engine import make_engine
from app.db.session import Database
from app.http.server import PROXIES
from app.models.user import User
from app.models.user_session import UserSession
from tests.service import Service, running_service
from tests.support import (
    AUTH,
    PASSWORD,
    USERS,
    assert_problem,
    sign_up_body,
)

pytestmark = pytest.mark.slow

DOCUMENT = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/(.+)$", DOCUMENT, re.MULTILINE)
RUNNABLE = [c for c in COMMANDS if sys.platform != "win32" or not c.startswith("gunicorn")]

# The features that the log reports as missing, by the first words of the command.
MISSING = {
    "python -m app": None,
    "uvicorn app.main:app --port 8000 --http": None,
    "uvicorn": {"connection limits"},
    "fastapi run": {"SHUTDOWN_TIMEOUT", "connection limits"},
    "fastapi dev": {"SHUTDOWN_TIMEOUT", "connection limits", PROXIES},
    "gunicorn app.main:app --bind 127.0.0.1:8000 --worker-class uvicorn": {
        "SHUTDOWN_TIMEOUT",
        "connection limits",
    },
    "gunicorn": {"SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY", "connection limits"},
    "hypercorn": {"SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY"},
    "granian": {"SHUTDOWN_TIMEOUT", "SHUTDOWN_DELAY", "connection limits"},
}


def reports(service: Service) -> list[set[str]]:
    """List what the log says is missing, line by line."""
    lines = [line for line in service.log.read_text().splitlines() if "servers.md" in line]
    return [set(json.loads(line)["missing"]) for line in lines]


def client_address(service: Service, url: URL, forwarded: str) -> str | None:
    """Return where a session comes from that is opened with this X-Forwarded-For."""
    email = f"{uuid4()}@example.com"
    with httpx2.Client(base_url=service.address, headers={"X-Forwarded-For": forwarded}) as client:
        client.post(USERS, json=sign_up_body(email))
        client.post(f"{AUTH}/token", data={"username": email, "password": PASSWORD})

    async def read() -> str | None:
        database = Database(make_engine(url))
        async with database.session() as reader:
            address = select(UserSession.ip_address).join(User).where(User.email == email)
            found = (await reader.scalars(address)).one()
        await database.engine.dispose()
        return found

    return run(read())


@pytest.mark.parametrize("command", RUNNABLE)
def test_server_starts_serves_and_stops(
    migrated_database_url: URL, tmp_path: Path, command: str
) -> None:
    with running_service(
        migrated_database_url,
        tmp_path,
        command=command.replace("8000", "{port}").split(),
        SHUTDOWN_DELAY="0.1",
        GUNICORN_CMD_ARGS="--no-control-socket",  # which would be in the home folder
    ) as service:
        ready = httpx2.get(f"{service.address}/readyz")
        assert ready.status_code == 200
        assert ready.headers["X-Request-ID"]
        answer = httpx2.get(f"{service.address}/api/v1/users/me")
        assert_problem(answer, 401, "not-authenticated")
        assert_problem(httpx2.get(f"{service.address}/nothing"), 404, "not-found")
        if not command.startswith("fastapi dev"):  # which has no option for it in the document
            assert client_address(service, migrated_database_url, "192.0.2.1") == "127.0.0.1"
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(timeout=30)
        expected = next(names for words, names in MISSING.items() if command.startswith(words))
        assert reports(service) == ([] if expected is None else [expected])
        assert "Traceback" not in service.log.read_text()


def test_document_has_every_server() -> None:
    programs = {command.split()[0] for command in COMMANDS}
    assert programs == {"python", "uvicorn", "fastapi", "gunicorn", "hypercorn", "granian"}


@pytest.mark.parametrize(
    "command", ["python -m app", "granian app.main:app --interface asgi --port 8000"]
)
def test_trusted_proxies_are_trusted(
    migrated_database_url: URL, tmp_path: Path, command: str
) -> None:
    with running_service(
        migrated_database_url,
        tmp_path,
        command=command.replace("8000", "{port}").split(),
        TRUSTED_PROXIES="127.0.0.1",
    ) as service:
        assert client_address(service, migrated_database_url, "192.0.2.1") == "192.0.2.1"
