import sys
import unicodedata
from datetime import timedelta
from itertools import permutations
from typing import Any, get_args
from uuid import uuid4

import jwt
import pytest
from argon2 import extract_parameters

from app.core import security
from app.core.security import (
    DUMMY_HASH,
    MAX_TYPED_LENGTH,
    Purpose,
    decode_access_token,
    decode_token,
    encode_access_token,
    encode_token,
    hash_password,
    normalise_password,
    verify_password,
)
from app.schemas.types import MAX_PASSWORD_LENGTH

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


@pytest.mark.parametrize(("seconds", "is_good"), [(-60, False), (-1, True), (60, True)])
def test_token_expires(seconds: int, is_good: bool) -> None:
    """Within the difference that clocks may have, it is good still."""
    token = encode_token(KEY, "access", {}, timedelta(seconds=seconds))
    assert (decode_token(KEY, "access", token) is not None) == is_good


def test_access_token() -> None:
    user_id, user_session_id = uuid4(), uuid4()
    token = encode_access_token(
        KEY, user_id=user_id, user_session_id=user_session_id, lifetime=HOUR
    )
    assert decode_access_token(KEY, token) == user_session_id


def test_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_hasher", PRODUCTION_HASHER)
    hashed = hash_password("correct horse")
    # At least 19 MiB, two passes, one lane.
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password("correct horse", hashed)
    assert not verify_password("correct horse ", hashed)
    assert not verify_password("\ud800", hashed)
    assert not verify_password("correct horse", "not a hash")


def test_hash_of_nobody_is_as_costly_as_any_other() -> None:
    production = extract_parameters(PRODUCTION_HASHER.hash("correct horse"))
    assert extract_parameters(DUMMY_HASH) == production


@pytest.mark.parametrize(
    "space", [chr(x) for x in range(sys.maxunicode) if unicodedata.category(chr(x)) == "Zs"]
)
def test_every_space_is_one(space: str) -> None:
    assert normalise_password(f"correct{space}horse") == "correct horse"


def test_normalised_once_is_normalised() -> None:
    everything = [chr(x) for x in range(sys.maxunicode)]
    for begin in range(0, len(everything), 1000):
        text = normalise_password(" ".join(everything[begin : begin + 1000]))
        assert normalise_password(text) == text


def test_longest_password_fits_in_however_it_is_typed() -> None:
    longest = max(
        len(unicodedata.normalize("NFKD", chr(x)))
        for x in range(sys.maxunicode)
        if unicodedata.is_normalized("NFKC", chr(x))
    )
    assert MAX_PASSWORD_LENGTH * longest <= MAX_TYPED_LENGTH


def test_what_is_too_long_is_wrong_after_one_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []

    class Hasher:
        def verify(self, hashed_password: str, password: bytes) -> bool:
            verified.append(password)
            return True

    monkeypatch.setattr(security, "_hasher", Hasher())
    assert verify_password("\u0301" * MAX_TYPED_LENGTH, "hash")
    assert not verify_password("\u0301" * (MAX_TYPED_LENGTH + 1), "hash")
    assert verified == [("\u0301" * MAX_TYPED_LENGTH).encode(), b""]
