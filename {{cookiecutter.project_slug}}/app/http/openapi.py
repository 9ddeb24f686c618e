"""The OpenAPI document: FastAPI's, with the problem details and headers that this service sends.

It is completed by rules, which hold for routes that you add as well.
"""

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from app.core.exceptions import AppError, UnavailableError
from app.http.problems import HTTP_PROBLEMS
from app.schemas.problem import Problem, ValidationProblem

Responses = dict[int | str, dict[str, Any]]


_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


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
    "WWW-Authenticate": _header("How to authenticate (RFC 9110)", examples=["Bearer"]),
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


def install_openapi(app: FastAPI, root_path: str) -> None:
    """Complete the document of *app*, which a proxy serves under *root_path*."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        # FastAPI generates it again when there are new routes.
        if "servers" not in document:
            _complete(document, root_path)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _complete(document: dict[str, Any], root_path: str) -> None:
    # "." is relative to the address of the document, so it is right under any path.
    document["servers"] = [{"url": root_path or "."}]
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
    schemes = components.get("securitySchemes", {})
    for scheme in schemes.values():
        for flow in scheme.get("flows", {}).values():
            if root_path and "tokenUrl" in flow and not flow["tokenUrl"].startswith(("/", "http")):
                flow["tokenUrl"] = f"{root_path}/{flow['tokenUrl']}"
    operations = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in _METHODS
    ]
    for operation in operations:
        _complete_operation(operation)
        _drop_defaults_of_form(operation, schemas)
    _complete_tags(document, operations)
    for schema in _enums(document):
        schema["x-enum-varnames"] = [_variable_name(value) for value in schema["enum"]]


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


def _drop_defaults_of_form(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Generators take a field with a default as always present, but forms leave it out."""
    content = operation.get("requestBody", {}).get("content", {})
    for media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        name = content.get(media_type, {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        for field in schemas.get(name, {}).get("properties", {}).values():
            field.pop("default", None)


def _complete_tags(document: dict[str, Any], operations: list[dict[str, Any]]) -> None:
    tags = document.setdefault("tags", [])
    described = {tag["name"] for tag in tags}
    used = dict.fromkeys(tag for operation in operations for tag in operation.get("tags", []))
    tags += [{"name": tag, "description": tag.capitalize()} for tag in used if tag not in described]


def _enums(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas whose values would get generated names such as VALUE_1."""
    if isinstance(node, dict):
        values = node.get("enum")
        if isinstance(values, list) and any(re.search(r"^\W|\W$", str(value)) for value in values):
            yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _enums(child)


def _variable_name(value: object) -> str:
    """Name a value of an enum. For `-created_at`, that is `CREATED_AT_DESC`."""
    name = re.sub(r"\W+", "_", str(value).removeprefix("-")).strip("_").upper()
    return f"{name}_DESC" if str(value).startswith("-") else name
