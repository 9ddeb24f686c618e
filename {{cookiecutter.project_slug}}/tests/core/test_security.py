from datetime import timedelta
from itertools import permutations
from typing import get_args
from uuid import uuid4

import pytest

from app.core import security
from app.core.exceptions import UnavailableError
from app.core.passwords import PasswordHashing
from app.core.security import (
    Purpose,
    decode_access_token,
    decode_token,
    encode_access_token,
    encode_token,
    hash_password,
    verify_password,
)

KEY = "a key for tests that signs nothing else"
HOUR = timedelta(hours=1)
PRODUCTION_HASHER = security._hasher  # before the tests make hashing cheap


@pytest.mark.parametrize(("made_for", "used_for"), list(permutations(get_args(Purpose), 2)))
def test_token_of_another_purpose(made_for: Purpose, used_for: Purpose) -> None:
    token = encode_token(KEY, made_for, {"sub": "x", "sid": str(uuid4())}, HOUR)
    assert decode_token(KEY, made_for, token) is not None
    assert decode_token(KEY, used_for, token) is None


def test_token_of_another_key_or_expired() -> None:
    assert decode_token(KEY, "access", encode_token(KEY + "!", "access", {}, HOUR)) is None
    assert decode_token(KEY, "access", encode_token(KEY, "access", {}, -HOUR)) is None


def test_access_token() -> None:
    user_id, login_id = uuid4(), uuid4()
    token = encode_access_token(KEY, user_id=user_id, login_id=login_id, lifetime=HOUR)
    assert decode_access_token(KEY, token) == login_id


def test_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_hasher", PRODUCTION_HASHER)
    hashed = hash_password("correct horse")
    # At least 19 MiB, two passes, one lane.
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password("correct horse", hashed)
    assert not verify_password("correct horse ", hashed)
    assert not verify_password("\ud800", hashed)
    assert not verify_password("correct horse", "not a hash")


async def test_flood_of_passwords_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.passwords._MAX_WAIT_SECONDS", 0)
    hashing = PasswordHashing()
    for _ in range(int(hashing._limiter.total_tokens)):
        hashing._limiter.acquire_on_behalf_of_nowait(object())
    with pytest.raises(UnavailableError):
        await hashing.hash("x")
