"""Fixtures of the tests of the API."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI

from app.core import passwords
from app.core.passwords import PasswordHasher
from app.dependencies.resources import Resources
from tests.support import PausableArgon2, UserClient, client_of


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
