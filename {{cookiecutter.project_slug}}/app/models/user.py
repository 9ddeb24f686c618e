from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, validates

from app.db.base import Base, CreatedAtMixin, UUIDMixin, utc_now


class User(UUIDMixin, CreatedAtMixin, Base):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email"),
        # Addresses are stored in lower case (app.schemas.types.Email), so that the unique
        # constraint holds for any case.
        CheckConstraint("email = lower(email)", name="email_lowercase"),
        # For the list of users in order of creation.
        Index(None, "created_at", "id"),
    )

    email: Mapped[str] = mapped_column(String(254))
    full_name: Mapped[str | None] = mapped_column(String(200))
    hashed_password: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True)
    is_superuser: Mapped[bool] = mapped_column(default=False)
    is_verified: Mapped[bool] = mapped_column(default=False)
    security_stamp: Mapped[UUID] = mapped_column(default=uuid4)
    """Part of every token that is mailed to the user. A new stamp invalidates them."""
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now, sort_order=101)

    @validates("email", "hashed_password", "is_verified")
    def _replace_security_stamp(self, name: str, value: str | bool) -> str | bool:
        # Verifying the address doesn't invalidate a link to reset the password.
        if value is not True and value != getattr(self, name):
            self.security_stamp = uuid4()
        return value
