"""Errors of the domain. They know no HTTP library, but carry what RFC 9457 needs to describe them."""

from typing import ClassVar, Literal


class AppError(Exception):
    """A problem that the client is told about.

    `slug`, `title` and `status` describe the kind of problem; the message (`detail`) describes this
    one and must not repeat what the client sent.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    detail: ClassVar[str] = "Something went wrong."

    constraint: ClassVar[str]
    """The unique constraint whose violation means this error."""
    by_constraint: ClassVar[dict[str, type["AppError"]]] = {}

    commit_on_error: ClassVar[bool] = False
    """Store what the request has written although it fails, as for a login that is being revoked."""

    retry_after: int | None = None

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)

    def __init_subclass__(cls) -> None:
        if "constraint" in vars(cls):
            cls.by_constraint[cls.constraint] = cls


class RetryableError(AppError):
    """The same request may succeed in *retry_after* seconds."""

    def __init__(self, detail: str | None = None, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnauthorizedError(AppError):
    status = 401
    slug = "not-authenticated"
    title = "Not authenticated"
    detail = "A valid access token is needed."


class WrongCredentialsError(UnauthorizedError):
    slug = "wrong-credentials"
    title = "Wrong credentials"
    detail = "The e-mail address or the password is wrong."


class InvalidRefreshTokenError(UnauthorizedError):
    slug = "invalid-refresh-token"
    title = "Invalid refresh token"
    detail = "The refresh token is unknown, expired or revoked."


class RefreshTokenReusedError(InvalidRefreshTokenError):
    """A spent token came back: somebody else may hold it, so the whole login is revoked."""

    commit_on_error = True


class ForbiddenError(AppError):
    status = 403
    slug = "forbidden"
    title = "Forbidden"
    detail = "This needs more rights than the account has."


class WrongPasswordError(ForbiddenError):
    slug = "wrong-password"
    title = "Wrong password"
    detail = "The current password is wrong."


class SignupClosedError(ForbiddenError):
    slug = "signup-closed"
    title = "Sign-up is closed"
    detail = "New accounts are made by an administrator."


class NotFoundError(AppError):
    status = 404
    slug = "not-found"
    title = "Not found"
    detail = "There is nothing here."


class ConflictError(AppError):
    status = 409
    slug = "conflict"
    title = "Conflict"


class EmailTakenError(ConflictError):
    slug = "email-already-registered"
    title = "E-mail already registered"
    detail = "An account with this e-mail address exists."
    constraint = "uq_users_email"


class NotASuperuserError(ConflictError):
    slug = "not-a-superuser"
    title = "Not a superuser"
    detail = (
        "This address has an account without rights: somebody has signed up with it. Set its password "
        "with `python -m app.manage reset-password`, then use `python -m app.manage make-superuser`."
    )


class LastSuperuserError(ConflictError):
    slug = "last-superuser"
    title = "Last superuser"
    detail = "The last active superuser can't be demoted, deactivated or deleted."


class TooManyAttemptsError(RetryableError):
    status = 429
    slug = "too-many-attempts"
    title = "Too many attempts"
    detail = "There were too many attempts. Try again later."


class InvalidInputError(AppError):
    """A value that only a service can judge: the member *field* of the body, or a parameter."""

    status = 422
    slug = "validation-error"
    title = "Validation error"

    def __init__(
        self, detail: str | None = None, *, field: str, place: Literal["body", "query"] = "body"
    ) -> None:
        super().__init__(detail)
        self.field = field
        self.place = place


class InvalidTokenError(InvalidInputError):
    slug = "invalid-token"
    title = "Invalid token"
    detail = "The token is wrong, expired or was used before."

    def __init__(self) -> None:
        super().__init__(field="token")


class InvalidCursorError(InvalidInputError):
    slug = "invalid-cursor"
    title = "Invalid cursor"
    detail = "The cursor is not one that this list gave out for this sort order."

    def __init__(self) -> None:
        super().__init__(field="cursor", place="query")


class UnavailableError(RetryableError):
    """The service can't answer now, for reasons that pass."""

    status = 503
    slug = "unavailable"
    title = "Service unavailable"
    detail = "The service can't answer now. Try again shortly."
