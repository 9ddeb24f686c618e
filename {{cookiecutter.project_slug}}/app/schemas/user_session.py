from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.schemas.base import ResponseSchema
from app.schemas.user import UserRead


class CurrentSession(NamedTuple):
    """The session that a request is made with, and its user."""

    id: UUID
    user: UserRead


class UserSessionRead(ResponseSchema):
    id: UUID
    created_at: datetime
    last_used_at: datetime
    user_agent: str | None
    ip_address: str | None
    current: bool
    """Whether the request was made with a token of this session."""
