from datetime import timedelta
from itertools import permutations
from typing import Any, get_args
from uuid import uuid4

import jwt
import pytest

from app.core import security
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


def sign(
    *,
    key: str = KEY,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A good token with some changes; a claim that is None is left out."""
    good = encode_token(KEY, "access", {"sub": "x"}, HOUR)
    claims = jwt.decode(good, options={"verify_signature": False}) | changes
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm=algorithm, headers=headers)


def test_good_token() -> None:
    assert decode_token(KEY, "access", sign()) is not None


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
def test_token_that_is_not_ours_or_not_valid_now(changes: dict[str, Any]) -> None:
    assert decode_token(KEY, "access", sign(**changes)) is None


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "\ud800"])
def test_text_that_is_no_token(token: str) -> None:
    assert decode_token(KEY, "access", token) is None
    assert decode_token(KEY, "access", f"{sign()}.{token}") is None


def test_token_expires() -> None:
    assert (
        decode_token(KEY, "access", encode_token(KEY, "access", {}, timedelta(seconds=-1))) is None
    )


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
