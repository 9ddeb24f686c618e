"""Problem details (RFC 9457): every error response is made here."""

import logging
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any

from fastapi import Request, Response
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.core.exceptions import (
    AppError,
    ForbiddenError,
    InvalidInputError,
    TooManyAttemptsError,
    UnauthorizedError,
    UnavailableError,
)
from app.core.logging import request_id_var
from app.core.validation import describe_error
from app.http.routing import allowed_methods, misses_slash

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
# Statuses that libraries use too, such as FastAPI's security schemes, and the headers they need.
_APP_ERRORS: dict[int, tuple[type[AppError], dict[str, str]]] = {
    401: (UnauthorizedError, {"www-authenticate": "Bearer"}),
    403: (ForbiddenError, {}),
    429: (TooManyAttemptsError, {"retry-after": "1"}),
    500: (AppError, {}),
    503: (UnavailableError, {"retry-after": "1"}),
}
_PARAMETERS = {"query", "path", "header", "cookie"}
_MAX_PLACES = 16  # in a body that was made to have many


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
        headers: Mapping[str, str] | None = None,
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
    scope: Scope | None, status: int, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    """Make the response for an error that has no AppError, such as 413."""
    if status in _APP_ERRORS:
        error, needed = _APP_ERRORS[status]
        detail = "Valid credentials are required." if status == 401 else error.detail
        headers = needed | {name.lower(): value for name, value in (headers or {}).items()}
        return ProblemResponse(scope, status, error.title, detail, slug=error.slug, headers=headers)
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


async def error_response(app: Starlette, request: Request, error: Exception) -> Response:
    """Return the answer of the application's handler for *error*, which may be the owner's."""
    # As in Starlette, a handler for 500 is one for Exception.
    kinds: list[Any] = [*type(error).__mro__]
    kinds.insert(kinds.index(Exception), 500)
    handler = next(app.exception_handlers[kind] for kind in kinds if kind in app.exception_handlers)
    if iscoroutinefunction(handler):
        response: Response = await handler(request, error)
    else:
        response = await run_in_threadpool(handler, request, error)
    return response


def _located(location: tuple[Any, ...], detail: str) -> dict[str, str]:
    place, *path = location
    if place in _PARAMETERS:
        return {"detail": detail, "in": place, "name": str(path[0]) if path else ""}
    # RFC 6901 section 3: `~` and `/` within a name are escaped.
    names = (str(name).replace("~", "~0").replace("/", "~1") for name in path)
    return {"detail": detail, "pointer": "".join(f"/{name}" for name in names)}


def _path_in_body(error: Mapping[str, Any], body: Any) -> list[Any]:
    """Return where *error* is in the body.

    Pydantic's location also names members of unions, as in `("pets", 0, "cat", "lives")`. So each
    name may be a step or not. The steps lead to the error's input, or to what lacks a field.
    """
    names = list(error["loc"][1:])
    field = names[-1:] if error["type"] == "missing" else []
    places: list[tuple[Any, list[Any]]] = [(body, [])]
    for name in names[: len(names) - len(field)]:
        found: dict[int, tuple[Any, list[Any]]] = {}
        for value, path in places:
            if (isinstance(value, Mapping) and name in value) or (
                isinstance(value, list) and isinstance(name, int) and name < len(value)
            ):
                found.setdefault(id(value[name]), (value[name], [*path, name]))
            found.setdefault(id(value), (value, path))
        places = list(found.values())[:_MAX_PLACES]
    exact = [path for value, path in places if value is error.get("input")]
    return [*(exact or [path for _, path in places])[0], *field]


def _describe(error: Mapping[str, Any], body: Any) -> dict[str, str]:
    location = error["loc"]
    if location[0] not in _PARAMETERS:
        location = (location[0], *_path_in_body(error, body))
    return _located(location, describe_error(error))


async def _handle_app_error(request: Request, error: AppError) -> ProblemResponse:
    if isinstance(error, UnavailableError) and error.reason:
        logger.warning("Unavailable", extra={"reason": error.reason})
    return app_problem(request.scope, error)


async def _handle_http_exception(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.status_code in {204, 304}:
        return Response(status_code=error.status_code, headers=headers)
    if error.status_code == 404 and misses_slash(request.scope):
        url = request.url.replace(path=f"{request.url.path}/")
        return RedirectResponse(url.path + (f"?{url.query}" if url.query else ""))
    if error.status_code == 405:
        headers["Allow"] = allowed_methods(request.scope)
    return http_problem(request.scope, error.status_code, headers)


async def _handle_validation_error(
    request: Request, error: RequestValidationError
) -> ProblemResponse:
    if any(isinstance(problem["input"], bytes) for problem in error.errors()):
        # FastAPI validates the raw bytes of a body whose content type isn't JSON.
        return http_problem(request.scope, 415)
    errors = [_describe(problem, error.body) for problem in error.errors()]
    detail = "The request is not valid; see `errors`."
    return ProblemResponse(request.scope, 422, "Validation error", detail, errors=errors)


async def _handle_bug(request: Request, _error: Exception) -> ProblemResponse:
    return app_problem(request.scope, AppError())


def install_error_handlers(app: Starlette) -> None:
    """Have errors of *app* answered with problem details, except where it has its own handlers.

    Applications that are mounted get the handlers with the first request.
    """
    handlers: dict[Any, Any] = {
        AppError: _handle_app_error,
        # Starlette's class: the router raises it for unknown paths and methods.
        HTTPException: _handle_http_exception,
        RequestValidationError: _handle_validation_error,
        Exception: _handle_bug,
    }
    defaults = {None, http_exception_handler, request_validation_exception_handler}
    for kind, handler in handlers.items():
        if app.exception_handlers.get(kind) in defaults:
            app.exception_handlers[kind] = handler
