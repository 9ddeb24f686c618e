"""Security events: a log line each, with the account and the client, and with nothing secret."""

import re
from collections.abc import AsyncIterator
from typing import Any, get_args
from uuid import UUID

import pytest
from fastapi import FastAPI

from app.core.config import ROOT
from app.core.security_events import SecurityEvent
from tests.api.conftest import Recorder
from tests.support import (
    AUTH,
    ME,
    NEW_PASSWORD,
    PASSWORD,
    USERS,
    UserClient,
    client_of,
    request_refresh,
    request_token,
)

CLIENT = "192.0.2.7"


@pytest.fixture
async def ada(app: FastAPI) -> AsyncIterator[UserClient]:
    async with client_of(app, CLIENT) as ada:
        await ada.sign_up("ada@example.com")
        await ada.sign_in()
        yield ada


def about(event: dict[str, Any]) -> tuple[str, str]:
    """Return the account and the client of an event."""
    return event["account_id"], event["client"]


async def test_account_and_session_have_events(ada: UserClient, security_log: Recorder) -> None:
    await ada.sign_in()
    opened = security_log.take("session-opened")
    assert about(opened) == (ada.user["id"], CLIENT)
    assert (await ada.post(f"{AUTH}/logout")).status_code == 204
    revoked = security_log.take("session-revoked")
    assert about(revoked) == (ada.user["id"], CLIENT)
    assert revoked["session_id"] == opened["session_id"]
    assert revoked["user_id"] == ada.user["id"]
    assert revoked["level"] == "INFO"

    await ada.sign_in()
    assert (await ada.post(f"{AUTH}/logout-all")).status_code == 204
    assert about(security_log.take("sessions-revoked")) == (ada.user["id"], CLIENT)

    await ada.sign_in()
    assert (await ada.delete(ME)).status_code == 204
    assert about(security_log.take("account-deleted")) == (ada.user["id"], CLIENT)


async def test_created_account_has_an_event(app: FastAPI, security_log: Recorder) -> None:
    async with client_of(app, CLIENT) as client:
        await client.sign_up("grace@example.com")
        created = security_log.take("account-created")
        assert about(created) == (client.user["id"], CLIENT)
        assert created["is_superuser"] is False


async def test_failed_login_has_an_event(ada: UserClient, security_log: Recorder) -> None:
    await request_token(ada, ada.email, "wrong password")
    failed = security_log.take("login-failed")
    assert about(failed) == (ada.user["id"], CLIENT)
    assert failed["reason"] == "wrong password"
    assert failed["level"] == "WARNING"

    await request_token(ada, "nobody@example.com")
    failed = security_log.take("login-failed")
    assert "account_id" not in failed
    assert (failed["client"], failed["reason"]) == (CLIENT, "unknown address")


async def test_login_of_a_deactivated_account_has_an_event(
    ada: UserClient, root: UserClient, security_log: Recorder
) -> None:
    changed = await root.patch(f"{USERS}/{ada.user_id}", json={"is_active": False})
    assert changed.status_code == 200
    rights = security_log.take("rights-changed")
    assert rights["account_id"] == ada.user["id"]
    assert rights["user_id"] == root.user["id"]
    assert rights["is_active"] is False
    await request_token(ada, ada.email)
    assert security_log.take("login-failed")["reason"] == "account inactive or changed"


async def test_update_without_a_change_has_no_event(
    ada: UserClient, root: UserClient, security_log: Recorder
) -> None:
    await ada.sign_in()
    assert (await root.patch(f"{USERS}/{ada.user_id}", json={})).status_code == 200
    security_log.take("session-opened")


@pytest.mark.parametrize("times", [1, 2])
async def test_reused_refresh_token_has_an_event(
    ada: UserClient, security_log: Recorder, times: int
) -> None:
    """Also after the session has been revoked for it."""
    token = ada.tokens["refresh_token"]
    await request_refresh(ada, token)
    for _ in range(times):
        assert (await request_refresh(ada, token)).status_code == 401
        reused = security_log.take("refresh-token-reused")
        assert about(reused) == (ada.user["id"], CLIENT)
        assert str(UUID(reused["session_id"])) == reused["session_id"]


async def test_password_change_has_an_event(ada: UserClient, security_log: Recorder) -> None:
    change = {"current_password": "wrong password", "new_password": NEW_PASSWORD}
    assert (await ada.post(f"{ME}/password", json=change)).status_code == 403
    assert about(security_log.take("password-change-failed")) == (ada.user["id"], CLIENT)
    change["current_password"] = PASSWORD
    assert (await ada.post(f"{ME}/password", json=change)).status_code == 204
    assert about(security_log.take("password-changed")) == (ada.user["id"], CLIENT)


async def test_changed_address_and_denied_access_have_events(
    ada: UserClient, security_log: Recorder
) -> None:
    assert (await ada.get(USERS)).status_code == 403
    assert about(security_log.take("access-denied")) == (ada.user["id"], CLIENT)
    assert (await ada.patch(ME, json={"email": "lovelace@example.com"})).status_code == 200
    assert about(security_log.take("email-changed")) == (ada.user["id"], CLIENT)


def test_every_event_is_documented() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    section = text.partition("## Security events")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert documented == set(get_args(SecurityEvent))
