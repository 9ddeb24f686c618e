"""Models of the tables. All are imported here: Alembic sees a model only if somebody has imported it."""

from app.models.login import Login, RefreshToken
from app.models.user import User

__all__ = ["Login", "RefreshToken", "User"]
