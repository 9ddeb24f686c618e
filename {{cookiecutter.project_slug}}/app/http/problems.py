"""Every error as problem details (RFC 9457). No other module makes an error response."""

import logging
from http import HTTPMethod, HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from app.core.exceptions import AppError, InvalidInputError, UnavailableError
from app.core.logging import request_id_var

logger = logging.getLogger(__name__)

# Where FastAPI puts the parts of a request, in the terms of OpenAPI.
_PARAMETER_KINDS = {"query", "path", "header", "cookie"}

# The framework's own errors. Their texts are ours: a detail may quote what the client sent, and
# Python's phrases differ between its versions.
HTTP_PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("bad-request", "Bad request", "The request could not be read."),
    404: ("not-found", "Not found", "There is nothing at this path."),
    405: ("method-not-allowed", "Method not allowed", "This path does not take this method."),
    408: ("request-timeout", "Request timeout", "The body took too long to arrive."),
    413: ("content-too-large", "Content too large", "The body is larger than the service takes."),
    414: ("uri-too-long", "URI too long", "The path and the query are longer than allowed."),
    415: (
        "unsupported-media-type",
        "Unsupported media type",
        "The service does not read this content type.",
    ),
    416: (
        "range-not-satisfiable",
        "Range not satisfiable",
        "The file has no such range.",
    ),
    431: ("headers-too-large", "Headers too large", "The headers are larger than allowed."),
}
_OTHER_PROBLEM = ("http-error", "HTTP error", "The request could not be answered.")


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


def problem_response(
    request: Request,
    *,
    status: int,
    slug: str,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> ProblemResponse:
    body: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "request_id": request_id_var.get(),
    }
    if errors is not None:
        body["errors"] = errors
    return ProblemResponse(body, status, headers)


def internal_error_response(request: Request) -> ProblemResponse:
    """The last resort; says nothing of the cause, which is in the log under the same request id."""
    return _from_app_error(request, AppError())


def unavailable_response(request: Request) -> ProblemResponse:
    return _from_app_error(request, UnavailableError(retry_after=1))


def http_problem_response(
    request: Request, status: int, headers: dict[str, str] | None = None
) -> ProblemResponse:
    slug, title, detail = HTTP_PROBLEMS.get(status, _OTHER_PROBLEM)
    return problem_response(
        request, status=status, slug=slug, title=title, detail=detail, headers=headers
    )


def _from_app_error(request: Request, error: AppError) -> ProblemResponse:
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    errors = None
    if isinstance(error, InvalidInputError):
        errors = [_describe({"loc": (error.place, error.field), "msg": str(error), "type": ""})]
    return problem_response(
        request,
        status=error.status,
        slug=error.slug,
        title=error.title,
        detail=str(error),
        headers=headers,
        errors=errors,
    )


async def _handle_app_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, AppError)  # noqa: S101 -- for the type checker; registered for AppError
    if isinstance(error, UnavailableError) and error.__cause__:
        logger.warning("Unavailable", extra={"reason": type(error.__cause__).__name__})
    return _from_app_error(request, error)


async def _handle_http_exception(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 -- as above
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return http_problem_response(request, error.status_code, headers)


def _allowed_methods(request: Request) -> list[str]:
    """The methods of all routes of this path; the router itself names those of the first one."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    allowed = [
        method.value
        for method in HTTPMethod
        for route in routes
        if route.matches({**request.scope, "method": method.value})[0] is Match.FULL
    ]
    if "GET" in allowed and "HEAD" not in allowed:
        allowed.insert(allowed.index("GET") + 1, "HEAD")  # see RequestMiddleware
    return allowed or ["GET", "HEAD"]  # the files of a mounted folder


async def _handle_validation_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- as above
    if any(isinstance(problem["input"], bytes) for problem in error.errors()):
        # FastAPI hands over the bytes of a body whose content type the route doesn't read.
        return http_problem_response(request, 415)
    return problem_response(
        request,
        status=422,
        slug="validation-error",
        title="Validation error",
        detail="The request is not valid; see `errors`.",
        errors=[_describe(problem) for problem in error.errors()],
    )


def _describe(problem: dict[str, Any]) -> dict[str, str]:
    kind, *path = problem["loc"]
    detail = str(problem["msg"]).removeprefix("Value error, ")
    # Behind these marks, messages quote pieces of what was sent.
    for mark in (", invalid", ", unexpected", ": "):
        detail = detail.partition(mark)[0]
    if kind in _PARAMETER_KINDS:
        return {"detail": detail, "in": kind, "name": str(path[0]) if path else ""}
    if problem["type"] == "json_invalid":
        # `loc` holds the position at which reading stopped, and the message a piece of the body.
        return {"detail": "The body is not valid JSON.", "pointer": ""}
    # RFC 6901 section 3: `~` and `/` within a name are escaped.
    names = (str(name).replace("~", "~0").replace("/", "~1") for name in path)
    return {"detail": detail, "pointer": "".join(f"/{name}" for name in names)}


def install_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(AppError, _handle_app_error)
    # Starlette's class: the router raises it for unknown paths and methods.
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
