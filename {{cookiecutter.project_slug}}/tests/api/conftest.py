"""Fixtures of the tests of the API."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from app.core import passwords
from app.core.logging import client_var, user_id_var
from app.core.passwords import PasswordHasher
from app.dependencies.resources import Resources
from tests.support import NEW_PASSWORD, PASSWORD, PausableArgon2, UserClient, client_of


class Recorder(logging.Handler):
    """Keeps the fields of security events, as the log formats them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        own = logging.LogRecord("", 0, "", 0, "", None, None).__dict__
        fields = {name: value for name, value in vars(record).items() if name not in own}
        request = {"client": client_var.get(), "user_id": user_id_var.get()}
        event = {"event": record.getMessage(), "level": record.levelname}
        self.events.append({**event, **request, **fields})

    def take(self, name: str) -> dict[str, Any]:
        """Return the newest event, which has this name."""
        event = self.events[-1]
        assert event["event"] == name
        return event


@pytest.fixture
async def ada_elsewhere(app: FastAPI, ada: UserClient) -> AsyncIterator[UserClient]:
    """Ada on a second device, signed in with a user session of its own."""
    async with client_of(app) as client:
        client.user = ada.user
        await client.sign_in()
        yield client


@pytest.fixture
def argon2(resources: Resources) -> Iterator[PausableArgon2]:
    """The Argon2 of the application: cheap, counted, and a test can pause it."""
    argon2 = PausableArgon2()
    policy = resources.password_hasher.policy
    resources.password_hasher.close()
    resources.password_hasher = PasswordHasher(policy, argon2, max_wait=30)
    yield argon2
    argon2.resume()


@pytest.fixture
def only_short_passwords_are_normalised(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    lengths = []

    def observe(password: str) -> str:
        lengths.append(len(password))
        return password

    monkeypatch.setattr(passwords, "normalise", observe)
    yield
    assert max(lengths, default=0) <= passwords.MAX_TYPED_LENGTH


@pytest.fixture
def security_log() -> Iterator[Recorder]:
    recorder = Recorder()
    logger = logging.getLogger("app.security")
    level = logger.level
    logger.addHandler(recorder)
    logger.setLevel(logging.INFO)
    yield recorder
    logger.removeHandler(recorder)
    logger.setLevel(level)
    text = repr(recorder.events)
    assert recorder.events
    for secret in (PASSWORD, NEW_PASSWORD, "wrong password", "example.com", "eyJ"):
        assert secret not in text.replace("'reason': 'wrong password'", "")
