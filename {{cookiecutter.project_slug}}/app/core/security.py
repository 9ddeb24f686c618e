"""Tokens, as pure functions without database or HTTP."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import jwt

from app.core.config import PROJECT_SLUG

# The clocks of two servers that share a key may differ by this much.
CLOCK_SKEW_SECONDS = 5

Purpose = Literal["access", "verify-email", "reset-password"]


def new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def hmac_sha256(key: str, text: str) -> str:
    """Return the HMAC-SHA-256 of *text* in hex."""
    message = text.encode(errors="surrogatepass")
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def key_id(key: str) -> str:
    """Return a short name of *key*, which doesn't help to guess it."""
    return hmac_sha256(key, "key id")[:8]


def encode_token(key: str, purpose: Purpose, claims: dict[str, Any], lifetime: timedelta) -> str:
    """Sign a JWT (RFC 7519) that only `decode_token` with the same purpose accepts."""
    now = datetime.now(UTC)
    payload = {
        **claims,
        # Rejects tokens of another service, even if both were given the same key by mistake.
        "aud": PROJECT_SLUG,
        "purpose": purpose,
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(payload, key, algorithm="HS256")


def decode_token(keys: tuple[str, ...], purpose: Purpose, token: str) -> Mapping[str, Any] | None:
    """Return the claims, or None for a token that is forged, expired or for another purpose.

    It may be signed with any of *keys*.
    """
    for key in keys:
        try:
            claims = _verify(key, token)
        except (jwt.InvalidTokenError, UnicodeEncodeError):
            continue
        is_valid = claims["purpose"] == purpose and time.time() < claims["exp"] + CLOCK_SKEW_SECONDS
        return claims if is_valid else None
    return None


# A client sends the same access token for minutes, and its signature stays right. Whether it has
# expired and whether its session was revoked is checked each time. Errors aren't kept, so forged
# tokens take no memory.
@lru_cache(maxsize=10_000)
def _verify(key: str, token: str) -> Mapping[str, Any]:
    """Return the claims of a token that this service has signed. Raises jwt.InvalidTokenError."""
    claims: Mapping[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["HS256"],
        audience=PROJECT_SLUG,
        leeway=CLOCK_SKEW_SECONDS,
        options={"require": ["aud", "exp", "iat", "purpose"]},
    )
    return claims


def encode_access_token(
    key: str, *, user_id: UUID, user_session_id: UUID, lifetime: timedelta
) -> str:
    claims = {"sub": str(user_id), "sid": str(user_session_id)}
    return encode_token(key, "access", claims, lifetime)


def decode_access_token(keys: tuple[str, ...], token: str) -> UUID | None:
    """Return the id of the user session, or None for a token that isn't valid."""
    claims = decode_token(keys, "access", token)
    return UUID(claims["sid"]) if claims else None
