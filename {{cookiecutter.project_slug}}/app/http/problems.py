"""Problem details (RFC 9457): every error response is made here."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.core.exceptions import AppError, InvalidInputError, UnavailableError
from app.core.logging import request_id_var
from app.core.validation import describe_error
from app.http.methods import allowed_methods

logger = logging.getLogger(__name__)

# Titles and details of errors that have no AppError. They are spelled out here because messages of
# libraries may quote the client's input, and Python's phrases differ between its versions.
HTTP_PROBLEMS = {
    400: ("Bad request", "The request is malformed."),
    404: ("Not found", "There is nothing at this path."),
    405: ("Method not allowed", "This path doesn't support the method."),
    408: ("Request timeout", "The request took too long to arrive."),
    413: ("Content too large", "The body is too large."),
    414: ("URI too long", "The path and the query are too long."),
    415: ("Unsupported media type", "The body has an unsupported content type or encoding."),
    416: ("Range not satisfiable", "The file has no such range."),
    431: ("Headers too large", "The headers are too large."),
}
_OTHER_PROBLEM = ("HTTP error", "The request can't be processed.")
_PARAMETERS = {"query", "path", "header", "cookie"}


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"

    def __init__(
        self,
        scope: Scope | None,
        status: int,
        title: str,
        detail: str,
        *,
        slug: str | None = None,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        """*scope* is None if the request couldn't be read. The title is the default *slug*."""
        body: dict[str, Any] = {
            "type": f"/problems/{slug or title.lower().replace(' ', '-')}",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": URL(scope=scope).path if scope else "",
            "request_id": request_id_var.get(),
        }
        if errors is not None:
            body["errors"] = errors
        super().__init__(body, status, headers)


def http_problem(
    scope: Scope | None, status: int, headers: dict[str, str] | None = None
) -> ProblemResponse:
    """Make the response for an error that has no AppError, such as 413."""
    title, detail = HTTP_PROBLEMS.get(status, _OTHER_PROBLEM)
    return ProblemResponse(scope, status, title, detail, headers=headers)


def app_problem(scope: Scope, error: AppError) -> ProblemResponse:
    detail = str(error)
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    errors = None
    if isinstance(error, InvalidInputError):
        errors = [_located((error.place, error.field), detail)]
    return ProblemResponse(
        scope, error.status, error.title, detail, slug=error.slug, headers=headers, errors=errors
    )


def unhandled_problem(scope: Scope, error: Exception) -> ProblemResponse:
    """Make the response for an error that no handler has caught. A bug becomes 500."""
    if isinstance(error, AppError):
        return app_problem(scope, error)
    logger.error("Unhandled error", exc_info=error)
    return app_problem(scope, AppError())


def _located(location: tuple[Any, ...], detail: str) -> dict[str, str]:
    place, *path = location
    if place in _PARAMETERS:
        return {"detail": detail, "in": place, "name": str(path[0]) if path else ""}
    # RFC 6901 section 3: `~` and `/` within a name are escaped.
    names = (str(name).replace("~", "~0").replace("/", "~1") for name in path)
    return {"detail": detail, "pointer": "".join(f"/{name}" for name in names)}


def _describe(error: dict[str, Any]) -> dict[str, str]:
    location = error["loc"]
    if error["type"] == "json_invalid" and isinstance(location[-1], int):
        location = location[:-1]  # FastAPI adds the position where the parser stopped
    return _located(location, describe_error(error))


async def _handle_app_error(request: Request, error: AppError) -> ProblemResponse:
    if isinstance(error, UnavailableError) and error.reason:
        logger.warning("Unavailable", extra={"reason": error.reason})
    return app_problem(request.scope, error)


async def _handle_http_exception(request: Request, error: HTTPException) -> ProblemResponse:
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = allowed_methods(request.scope)
    return http_problem(request.scope, error.status_code, headers)


async def _handle_validation_error(
    request: Request, error: RequestValidationError
) -> ProblemResponse:
    if any(isinstance(problem["input"], bytes) for problem in error.errors()):
        # FastAPI validates the raw bytes of a body whose content type isn't JSON.
        return http_problem(request.scope, 415)
    errors = [_describe(problem) for problem in error.errors()]
    detail = "The request is not valid; see `errors`."
    return ProblemResponse(request.scope, 422, "Validation error", detail, errors=errors)


def install_error_handlers(app: FastAPI) -> None:
    app.exception_handler(AppError)(_handle_app_error)
    # Starlette's class: the router raises it for unknown paths and methods.
    app.exception_handler(HTTPException)(_handle_http_exception)
    app.exception_handler(RequestValidationError)(_handle_validation_error)
