from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import MISSING, Field, SecretStr, StrictBool

from app.schemas.base import RequestSchema, ResponseSchema
from app.schemas.page import PageParams
from app.schemas.types import Email, NewPassword, Text

FullName = Annotated[Text, Field(min_length=1, max_length=200)]
UserSort = Literal["created_at", "-created_at", "email", "-email"]


class Credentials(RequestSchema):
    email: Email
    password: NewPassword


class UserCreate(Credentials):
    full_name: FullName | None = None


class UserUpdate(RequestSchema):
    """Changes that users may make to their own account. Fields that are left out stay unchanged."""

    email: Email | MISSING = MISSING
    full_name: FullName | MISSING | None = MISSING


class PasswordChange(RequestSchema):
    current_password: SecretStr
    new_password: NewPassword


class UserAdminUpdate(RequestSchema):
    """Changes that superusers may make to any user. Fields that are left out stay unchanged."""

    is_active: StrictBool | MISSING = MISSING
    is_superuser: StrictBool | MISSING = MISSING
    is_verified: StrictBool | MISSING = MISSING


class UserListParams(PageParams):
    q: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=254,
            description="Part of the e-mail address or of the name, in upper or lower case"
            " (of letters beyond ASCII: not on SQLite)",
        ),
    ] = None
    is_active: bool | None = None
    sort: UserSort = "created_at"


class UserRead(ResponseSchema):
    id: UUID
    email: str
    full_name: str | None
    is_active: bool
    is_superuser: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime


class CurrentSession(ResponseSchema):
    """The user session that a request is made with, and its user."""

    id: UUID
    user: UserRead
