from datetime import datetime
from uuid import UUID

from app.schemas.base import ResponseSchema


class UserSessionRead(ResponseSchema):
    id: UUID
    created_at: datetime
    last_used_at: datetime
    user_agent: str | None
    ip_address: str | None
    current: bool
    """Whether the request was made with a token of this session."""
