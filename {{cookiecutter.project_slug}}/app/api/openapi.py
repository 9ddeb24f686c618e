"""The OpenAPI document: FastAPI's own, with errors described as they are sent."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.schemas.problem import Problem, ValidationProblem

_REF = "#/components/schemas/{model}"
_DESCRIPTIONS = {
    "400": "The body can't be read",
    "401": "No valid access token, or wrong credentials",
    "403": "Not enough rights",
    "404": "There is none",
    "408": "The body took too long to arrive",
    "413": "The body is too large",
    "414": "The path and the query are too long",
    "415": "The content type is another one than described",
    "422": "The request is not valid",
    "429": "Too many attempts",
    "431": "The headers are too large",
    "500": "An error of the service",
    "503": "The service can't answer now",
}
_METHODS = {"get", "put", "post", "delete", "patch"}


def operation_id(route: APIRoute) -> str:
    """The name of the route's function: short, and stable for generated clients."""
    return route.name


def install_openapi(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (Problem, ValidationProblem):
        schema = model.model_json_schema(ref_template=_REF, mode="serialization")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for path, operations in document["paths"].items():
        for method in _METHODS & operations.keys():
            _add_problems(operations[method], path)
    return document


def _add_problems(operation: dict[str, Any], path: str) -> None:
    responses = operation["responses"]
    statuses = {status for status in responses if status >= "400"} | {"414", "431", "500"}
    if path != "/livez":
        statuses.add("503")
    if operation.get("security"):
        statuses.add("401")
    if "requestBody" in operation:
        statuses |= {"400", "408", "413", "415", "422"}
    for status in sorted(statuses):
        model = "ValidationProblem" if status == "422" else "Problem"
        described = responses.get(status, {}).get("description")
        responses[status] = {
            "description": _DESCRIPTIONS.get(status, described),
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model=model)}}},
        }
