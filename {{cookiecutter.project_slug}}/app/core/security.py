"""Passwords and tokens. Pure functions: no database, no HTTP."""

import hashlib
import hmac
import secrets
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.core.config import PROJECT_SLUG

# OWASP's minimum for Argon2id: 19 MiB, two passes, one lane. Raise it here: a password is hashed
# again with the new parameters at its owner's next login.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

CLOCK_SKEW = timedelta(seconds=5)
"""The clocks of two servers that share a key may differ by this much."""

Purpose = Literal["access", "verify-email", "reset-password", "cursor"]


MAX_TYPED_LENGTH = 1024
"""In code points. Nothing longer is normalised: that takes quadratic time in a row of combining marks.
The longest password fits in however it is typed: no character is composed of as many as eight."""


def normalise_password(password: str) -> str:
    """Typed on another keyboard, the same text is the same password.

    This is the profile OpaqueString of RFC 8265 section 4.2, any space being U+0020, but for its last
    step: NFKC in place of NFC, so that letters of full width and ligatures are plain ones as well.
    At most MAX_TYPED_LENGTH code points are to be given.
    """
    # Of the spaces (category Zs), this is the one that NFKC leaves as it is.
    return unicodedata.normalize("NFKC", password).replace("\u1680", " ")


def _encoded(password: str) -> bytes:
    return normalise_password(password).encode(errors="surrogatepass")


def hash_password(password: str) -> str:
    """Takes some 20 ms of a core and 19 MiB: never call it on the event loop."""
    return _hasher.hash(_encoded(password))


def verify_password(password: str, hashed_password: str) -> bool:
    """As costly as `hash_password`. False for a hash that is none, which can match nothing."""
    # What is too long is as wrong as any other, after the same time.
    is_possible = len(password) <= MAX_TYPED_LENGTH
    try:
        _hasher.verify(hashed_password, _encoded(password if is_possible else ""))
    except (VerifyMismatchError, InvalidHashError):
        return False
    return is_possible


def needs_rehash(hashed_password: str) -> bool:
    return _hasher.check_needs_rehash(hashed_password)


# Verified against when an address is unknown, so that the answer takes as long as for a known one (but
# for one whose hash still has older parameters; its owner's next login makes it anew).
DUMMY_HASH = hash_password(secrets.token_urlsafe())


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def hmac_sha256(key: str, text: str) -> str:
    """HMAC-SHA-256 in hex. With another key, what was stored under it is not found any more."""
    message = text.encode(errors="surrogatepass")
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def encode_token(key: str, purpose: Purpose, claims: dict[str, Any], lifetime: timedelta) -> str:
    """Sign a JWT (RFC 7519) that only `decode_token` for the same purpose accepts."""
    now = datetime.now(UTC)
    payload = {
        **claims,
        # A token of another service is refused, even if the two were given one key by mistake.
        "aud": PROJECT_SLUG,
        "purpose": purpose,
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(payload, key, algorithm="HS256")


def decode_token(key: str, purpose: Purpose, token: str) -> dict[str, Any] | None:
    """The claims, or None for a token that is forged, expired or meant for another purpose."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience=PROJECT_SLUG,
            leeway=CLOCK_SKEW,
            options={"require": ["aud", "exp", "iat", "purpose"]},
        )
    except (jwt.InvalidTokenError, UnicodeEncodeError):
        return None
    return claims if claims["purpose"] == purpose else None


def encode_access_token(
    key: str, *, user_id: UUID, user_session_id: UUID, lifetime: timedelta
) -> str:
    return encode_token(key, "access", {"sub": str(user_id), "sid": str(user_session_id)}, lifetime)


def decode_access_token(key: str, token: str) -> UUID | None:
    """The id of the login, or None."""
    claims = decode_token(key, "access", token)
    return UUID(claims["sid"]) if claims else None
