"""The OpenAPI document: FastAPI's own, with errors and headers described as they are sent."""

import http.client
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.schemas.problem import Problem, ValidationProblem

_REF = "#/components/schemas/{model}"
# What FastAPI writes where a route describes nothing.
_PLACEHOLDERS = {*http.client.responses.values(), "Validation Error"}
_DESCRIPTIONS = {
    "400": "The request can't be read",
    "401": "No valid access token, or wrong credentials",
    "403": "Not enough rights",
    "404": "There is none",
    "408": "The body took too long to arrive",
    "413": "The body is too large",
    "414": "The path and the query are too long",
    "415": "The body has another content type than described, or an unknown encoding",
    "422": "The request is not valid",
    "429": "Too many attempts",
    "431": "The headers are too large",
    "500": "An error of the service",
    "503": "The service can't answer now",
}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's own X-Request-ID if it is 1 to 128 characters of "
        "A-Z a-z 0-9 . _ -, otherwise a new one; stands in every log line of the request",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750)",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
    "Retry-After": {
        "description": "After how many seconds to try again",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Location": {
        "description": "The path of what was created",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Link": {
        "description": 'Leads to the next page, as rel="next" (RFC 8288), if there is one',
        "schema": {"type": "string"},
    },
}
_HEADERS_OF_STATUS = {
    "201": ["Location"],
    "401": ["WWW-Authenticate"],
    "429": ["Retry-After"],
    "503": ["Retry-After"],
}
# What is refused before there is a route may have a body even where none belongs.
_STATUSES_OF_ALL = {"400", "408", "413", "414", "415", "431", "500"}
_METHODS = {"get", "put", "post", "delete", "patch"}


def operation_id(route: APIRoute) -> str:
    """The name of the route's function: short, and stable for generated clients."""
    return route.name


def install_openapi(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components["headers"] = _HEADERS
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (Problem, ValidationProblem):
        schema = model.model_json_schema(ref_template=_REF, mode="serialization")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for path, operations in document["paths"].items():
        for method in _METHODS & operations.keys():
            _add_problems(operations[method], path)
            _add_headers(operations[method])
    return document


def _add_problems(operation: dict[str, Any], path: str) -> None:
    responses = operation["responses"]
    statuses = {status for status in responses if status >= "400"} | _STATUSES_OF_ALL
    if path != "/livez":
        statuses.add("503")
    if operation.get("security"):
        statuses.add("401")
    if "requestBody" in operation:
        statuses.add("422")
    for status in sorted(statuses):
        model = "ValidationProblem" if status == "422" else "Problem"
        response = responses.setdefault(status, {})
        described = response.get("description")
        if described is None or described in _PLACEHOLDERS:
            response["description"] = _DESCRIPTIONS.get(status, described)
        response["content"] = {
            "application/problem+json": {"schema": {"$ref": _REF.format(model=model)}}
        }


def _add_headers(operation: dict[str, Any]) -> None:
    # What takes the parameters of app/schemas/page.py answers with a page.
    is_page = any(parameter["name"] == "cursor" for parameter in operation.get("parameters", ()))
    for status, response in operation["responses"].items():
        names = ["X-Request-ID", *_HEADERS_OF_STATUS.get(status, ())]
        if status == "200" and is_page:
            names.append("Link")
        described = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        response["headers"] = described | response.get("headers", {})
