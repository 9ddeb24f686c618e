from typing import Literal

from app.schemas.base import RequestSchema, ResponseSchema


class TokenRead(ResponseSchema):
    """RFC 6749 section 5.1."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- a scheme's name, not a secret
    expires_in: int
    """Seconds until the access token expires."""


class RefreshRequest(RequestSchema):
    refresh_token: str
