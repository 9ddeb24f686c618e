"""Models of the tables. All are imported here: Alembic sees a model only if somebody has imported it."""

from app.models.user import User
from app.models.user_session import RefreshToken, UserSession

__all__ = ["RefreshToken", "User", "UserSession"]
