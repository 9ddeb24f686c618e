from app.schemas.base import RequestSchema
from app.schemas.types import Email, NewPassword


class EmailRequest(RequestSchema):
    email: Email


class EmailVerification(RequestSchema):
    token: str


class PasswordReset(RequestSchema):
    token: str
    new_password: NewPassword
