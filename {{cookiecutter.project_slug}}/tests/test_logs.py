"""The log of a real process: what is in it, what never is, and who decides about it."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import URL

from tests.service import Service, running_service
from tests.support import AUTH, ME, NEW_PASSWORD, PASSWORD, USERS, sign_up_body

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("database")]

WRONG = "wrong and also secret 1"


def use(service: Service) -> list[str]:
    """Use accounts in all ways that take a secret, and return the secrets."""
    email, secrets = "ada@example.com", [PASSWORD, NEW_PASSWORD, WRONG, "$argon2"]
    with httpx2.Client(base_url=service.address) as client:
        client.post(USERS, json=sign_up_body(email))
        client.post(f"{AUTH}/token", data={"username": email, "password": WRONG})
        tokens = client.post(f"{AUTH}/token", data={"username": email, "password": PASSWORD}).json()
        more = client.post(
            f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]}
        ).json()
        client.headers["Authorization"] = f"Bearer {more['access_token']}"
        passwords = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert client.post(f"{ME}/password", json=passwords).status_code == 204
        client.patch(ME, json={"password": WRONG})
        client.get(f"/nothing?token={tokens['access_token']}")
        client.post(f"{AUTH}/token", content=PASSWORD)
    for pair in (tokens, more):
        secrets += [pair["access_token"], pair["refresh_token"]]
    return secrets


def test_log_has_the_fields_of_each_request_and_no_secret(
    migrated_database_url: URL, tmp_path: Path
) -> None:
    with running_service(migrated_database_url, tmp_path, LOG_LEVEL="DEBUG") as service:
        secrets = use(service)
    text = service.log.read_text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert [secret for secret in secrets if secret in text] == []
    requests = [line for line in lines if line["event"] == "request" and "user_id" in line]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", f"{ME}/password", 204),
        ("PATCH", ME, 422),
    ]
    for line in requests:
        assert line["client"] == "127.0.0.1"
        assert {"request_id", "duration_ms", "timestamp"} <= line.keys()


def test_options_of_uvicorn_are_respected(migrated_database_url: URL, tmp_path: Path) -> None:
    command = "uvicorn app.main:app --port {port} --no-access-log --log-level warning"
    with running_service(migrated_database_url, tmp_path, command=command.split()) as service:
        httpx2.get(f"{service.address}/nothing")
    events = [json.loads(line)["event"] for line in service.log.read_text().splitlines()]
    assert len(events) == 1  # about the features that this command lacks
    assert "docs/servers.md" in events[0]


def test_log_configuration_of_the_server_is_respected(
    migrated_database_url: URL, tmp_path: Path
) -> None:
    handler = {"class": "logging.StreamHandler", "formatter": "own"}
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"own": {"format": "own: %(message)s"}},
        "handlers": {"own": handler},
        "root": {"handlers": ["own"], "level": "INFO"},
    }
    (tmp_path / "log.json").write_text(json.dumps(configuration))
    command = f"uvicorn app.main:app --port {{port}} --log-config {tmp_path}/log.json"
    with running_service(migrated_database_url, tmp_path, command=command.split()) as service:
        httpx2.get(f"{service.address}/nothing")
    lines = service.log.read_text().splitlines()
    assert "own: request" in lines
    assert all(line.startswith("own: ") for line in lines)
