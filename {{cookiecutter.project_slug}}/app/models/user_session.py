from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, CreatedAtMixin, UUIDMixin, utc_now
from app.models.user import User


class UserSession(UUIDMixin, CreatedAtMixin, Base):
    """One sign-in on one device. Its access and refresh tokens end with it."""

    __tablename__ = "user_sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    user: Mapped[User] = relationship(lazy="raise")
    last_used_at: Mapped[datetime] = mapped_column(default=utc_now)
    revoked_at: Mapped[datetime | None]
    user_agent: Mapped[str | None] = mapped_column(String(400))
    ip_address: Mapped[str | None] = mapped_column(String(45))


class RefreshToken(UUIDMixin, CreatedAtMixin, Base):
    """A token in a session's chain of refresh tokens. Only its hash is stored."""

    __tablename__ = "refresh_tokens"

    user_session_id: Mapped[UUID] = mapped_column(
        ForeignKey("user_sessions.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # The key of the hash, so that `manage doctor` knows when an old one is no longer needed. None in
    # rows from before this column.
    key_id: Mapped[str | None] = mapped_column(String(8))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
