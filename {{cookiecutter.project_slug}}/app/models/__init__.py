"""Models of the tables. All are imported here, because Alembic sees imported models only."""

from app.models.user import User
from app.models.user_session import RefreshToken, UserSession

__all__ = ["RefreshToken", "User", "UserSession"]
