"""Domain errors, with the data for problem details (RFC 9457). They depend on no HTTP library."""

from typing import ClassVar, Literal


class AppError(Exception):
    """A problem that is reported to the client.

    `slug`, `title` and `status` describe the kind of problem. The message (`detail`) describes this
    occurrence and must not repeat the client's input.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal server error"
    detail: ClassVar[str] = "Something went wrong."

    # Commit the request's changes although it fails, such as the revocation of a user session.
    commit_on_error: ClassVar[bool] = False

    retry_after: int | None = None

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)


class RetryableError(AppError):
    """The same request may succeed in *retry_after* seconds."""

    def __init__(self, detail: str | None = None, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnauthorizedError(AppError):
    status = 401
    slug = "not-authenticated"
    title = "Not authenticated"
    detail = "A valid access token is required."


class WrongCredentialsError(UnauthorizedError):
    slug = "wrong-credentials"
    title = "Wrong credentials"
    detail = "The e-mail address or the password is wrong."


class InvalidRefreshTokenError(UnauthorizedError):
    slug = "invalid-refresh-token"
    title = "Invalid refresh token"
    detail = "The refresh token is unknown, expired or revoked."


class RefreshTokenReusedError(InvalidRefreshTokenError):
    """A used token came back. Somebody else may have it, so the user session is revoked."""

    commit_on_error = True


class ForbiddenError(AppError):
    status = 403
    slug = "forbidden"
    title = "Forbidden"
    detail = "You don't have permission to do this."


class WrongPasswordError(ForbiddenError):
    slug = "wrong-password"
    title = "Wrong password"
    detail = "The current password is wrong."


class SignupClosedError(ForbiddenError):
    slug = "signup-closed"
    title = "Sign-up closed"
    detail = "Only an administrator can create accounts."


class NotFoundError(AppError):
    """Names the missing thing: `NotFoundError("order")`."""

    status = 404
    slug = "not-found"
    title = "Not found"

    def __init__(self, subject: str = "resource") -> None:
        super().__init__(f"There is no such {subject}.")


class ConflictError(AppError):
    status = 409
    slug = "conflict"
    title = "Conflict"


class InUseError(ConflictError):
    """Names the thing that can't be deleted: `InUseError("order")`."""

    slug = "in-use"
    title = "In use"

    def __init__(self, subject: str = "resource") -> None:
        super().__init__(f"Something else refers to this {subject}.")


class EmailTakenError(ConflictError):
    slug = "email-already-registered"
    title = "E-mail already registered"
    detail = "An account with this e-mail address already exists."


class NotASuperuserError(ConflictError):
    slug = "not-a-superuser"
    title = "Not a superuser"
    detail = (
        "The account with this address doesn't belong to a superuser: somebody has signed up with "
        "it. Set its password with `python -m app.manage reset-password`, then run "
        "`python -m app.manage make-superuser`."
    )


class LastSuperuserError(ConflictError):
    slug = "last-superuser"
    title = "Last superuser"
    detail = "The last active superuser can't be demoted, deactivated or deleted."


class TooManyAttemptsError(RetryableError):
    status = 429
    slug = "too-many-attempts"
    title = "Too many attempts"
    detail = "Too many attempts. Try again later."


class InvalidInputError(AppError):
    """A field of the body or a query parameter that a service has found invalid."""

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
    detail = "The token is invalid, expired or already used."

    def __init__(self) -> None:
        super().__init__(field="token")


class InvalidCursorError(InvalidInputError):
    slug = "invalid-cursor"
    title = "Invalid cursor"
    detail = "The cursor was not returned by this list for this sort order."

    def __init__(self) -> None:
        super().__init__(field="cursor", place="query")


class UnavailableError(RetryableError):
    """The service can't answer for now. The log shows *reason*, the client doesn't see it."""

    status = 503
    slug = "unavailable"
    title = "Service unavailable"
    detail = "The service can't answer right now. Try again shortly."

    def __init__(
        self, detail: str | None = None, *, retry_after: int, reason: str | None = None
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.reason = reason
