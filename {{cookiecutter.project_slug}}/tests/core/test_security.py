"""Tokens."""

import time
from datetime import timedelta
from itertools import permutations
from typing import Any, get_args
from uuid import uuid4

import jwt
import pytest

from app.core.security import (
    CLOCK_SKEW_SECONDS,
    Purpose,
    decode_access_token,
    decode_token,
    encode_access_token,
    encode_token,
    hmac_sha256,
    key_id,
    new_refresh_token,
)

KEY = "a key for tests that signs nothing else"
KEYS = (KEY,)
OLD_KEY = "an old key for tests that signs nothing"
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("made_for", "used_for"), list(permutations(get_args(Purpose), 2)))
def test_token_of_another_purpose_is_rejected(made_for: Purpose, used_for: Purpose) -> None:
    token = encode_token(KEY, made_for, {"sub": "x", "sid": str(uuid4())}, HOUR)
    assert decode_token(KEYS, made_for, token) is not None
    assert decode_token(KEYS, used_for, token) is None


def test_token_that_was_valid_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature is verified once, its lifetime each time."""
    token = encode_token(KEY, "access", {"sub": "x"}, HOUR)
    assert decode_token(KEYS, "access", token) is not None
    end = time.time() + HOUR.total_seconds()
    monkeypatch.setattr(time, "time", lambda: end + CLOCK_SKEW_SECONDS - 2)
    assert decode_token(KEYS, "access", token) is not None
    monkeypatch.setattr(time, "time", lambda: end + CLOCK_SKEW_SECONDS)
    assert decode_token(KEYS, "access", token) is None


def sign(
    *,
    key: str = KEY,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Sign a valid token with some changes; a claim that is None is left out."""
    good = encode_token(KEY, "access", {"sub": "x"}, HOUR)
    claims = jwt.decode(good, options={"verify_signature": False}) | changes
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm=algorithm, headers=headers)


def test_valid_token_is_accepted() -> None:
    assert decode_token(KEYS, "access", sign()) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"key": f"{KEY}!"},
        {"key": f"{KEY}!", "headers": {"jwk": {"kty": "oct", "k": "eA"}}},
        {"key": "", "algorithm": "none"},
        {"algorithm": "HS384"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"iat": 2**40},
        {"purpose": None},
        {"aud": None},
        {"aud": "another service"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_forged_or_expired_token_is_rejected(changes: dict[str, Any]) -> None:
    assert decode_token(KEYS, "access", sign(**changes)) is None


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "\ud800"])
def test_malformed_token_is_rejected(token: str) -> None:
    assert decode_token(KEYS, "access", token) is None
    assert decode_token(KEYS, "access", f"{sign()}.{token}") is None


@pytest.mark.parametrize(("seconds", "is_good"), [(-60, False), (-1, True), (60, True)])
def test_token_expires_after_its_lifetime_and_the_clock_skew(seconds: int, is_good: bool) -> None:
    token = encode_token(KEY, "access", {}, timedelta(seconds=seconds))
    assert (decode_token(KEYS, "access", token) is not None) == is_good


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_token_of_an_older_key_is_accepted_as_long_as_it_is_listed(purpose: Purpose) -> None:
    token = encode_token(OLD_KEY, purpose, {"sub": "x"}, HOUR)
    assert decode_token((KEY, OLD_KEY), purpose, token) is not None
    assert decode_token(KEYS, purpose, token) is None
    expired = encode_token(OLD_KEY, purpose, {"sub": "x"}, -HOUR)
    assert decode_token((KEY, OLD_KEY), purpose, expired) is None


def test_key_id_differs_and_shows_nothing_of_the_key() -> None:
    assert len({key_id(KEY), key_id(OLD_KEY), key_id(f"{KEY}!")}) == 3
    assert len(key_id(KEY)) == 8
    assert key_id(KEY) not in KEY


def test_access_token_names_its_user_session() -> None:
    user_id, user_session_id = uuid4(), uuid4()
    token = encode_access_token(
        KEY, user_id=user_id, user_session_id=user_session_id, lifetime=HOUR
    )
    assert decode_access_token(KEYS, token) == user_session_id


def test_refresh_tokens_are_long_and_differ() -> None:
    tokens = {new_refresh_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(len(token) for token in tokens) >= 43  # 256 bits in base64


def test_hmac_depends_on_key_and_text() -> None:
    assert hmac_sha256(KEY, "text") == hmac_sha256(KEY, "text")
    assert len({hmac_sha256(KEY, "text"), hmac_sha256("", "text"), hmac_sha256(KEY, "\ud800")}) == 3
