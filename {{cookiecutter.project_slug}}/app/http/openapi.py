"""The OpenAPI document: FastAPI's, with the problem details and headers that this service sends."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from app.core.exceptions import AppError, UnavailableError
from app.http.problems import HTTP_PROBLEMS
from app.schemas.problem import Problem, ValidationProblem

Responses = dict[int | str, dict[str, Any]]


def _header(description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string"} | schema,
    }


_HEADERS = {
    "X-Request-ID": _header(
        "The client's own X-Request-ID if it is valid, otherwise a new one",
        pattern="^[A-Za-z0-9._-]{1,128}$",
    ),
    "WWW-Authenticate": _header("How to authenticate (RFC 6750)", const="Bearer"),
    "Retry-After": _header("Seconds until the next attempt", type="integer", minimum=1),
    "Location": _header("Path of the new resource", format="uri-reference"),
    "Link": _header('The next page, as rel="next" (RFC 8288), if any', required=False),
}
_HEADERS_OF_STATUS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problem(status: int, description: str) -> dict[str, Any]:
    model = "ValidationProblem" if status == 422 else "Problem"
    content = {"schema": {"$ref": f"#/components/schemas/{model}"}}
    return {
        "description": description,
        "content": {"application/problem+json": content},
        "headers": _headers(*_HEADERS_OF_STATUS.get(status, [])),
    }


def problems(*errors: type[AppError]) -> Responses:
    """Describe the errors of a route: `responses=problems(ForbiddenError, NotFoundError)`.

    401 and 422 are added where a route needs a token or takes input.
    """
    titles: dict[int, list[str]] = {}
    for error in errors:
        titles.setdefault(error.status, []).append(error.title)
    return {status: _problem(status, " or ".join(names)) for status, names in titles.items()}


# For `FastAPI(responses=...)`: the errors that any request may get.
COMMON_PROBLEMS = problems(AppError, UnavailableError) | {
    status: _problem(status, HTTP_PROBLEMS[status][0]) for status in (400, 408, 413, 414, 415, 431)
}
# For routes that set these headers: `responses=CREATED | problems(ConflictError)`.
CREATED: Responses = {201: {"headers": _headers("Location")}}
PAGE: Responses = {200: {"headers": _headers("Link")}}


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function: short, and stable for generated clients."""
    return route.name


def install_openapi(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = app.openapi_schema
        if document is None:
            document = generate()  # which FastAPI also stores in app.openapi_schema
            _complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _complete(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    components["headers"] = _HEADERS
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own errors
        schemas.pop(name, None)
    _, definitions = models_json_schema(
        [(Problem, "serialization"), (ValidationProblem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    schemas |= definitions["$defs"]
    for path in document["paths"].values():
        for operation in path.values():
            _complete_operation(operation)


def _complete_operation(operation: dict[str, Any]) -> None:
    generated = operation["operationId"].replace("_", " ").title()
    if operation["summary"] == generated and (text := operation.get("description")):
        operation["summary"] = text.partition("\n")[0].rstrip(".")
    responses = operation["responses"]
    if operation.setdefault("security", []):
        responses.setdefault("401", _problem(401, "Not authenticated"))
    if "application/json" in responses.get("422", {}).get("content", {}):
        responses["422"] = _problem(422, "Validation error")
    for response in responses.values():
        response["headers"] = _headers("X-Request-ID") | response.get("headers", {})
    operation["responses"] = dict(sorted(responses.items()))
