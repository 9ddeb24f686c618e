"""The OpenAPI document."""

from typing import Annotated, Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BeforeValidator, Field, TypeAdapter

from app.core.exceptions import EmailTakenError, LastSuperuserError
from app.http.openapi import install_openapi, operation_id, problems
from app.schemas.types import Int32


@pytest.mark.parametrize("settings_values", [{"docs_enabled": False}])
async def test_document_can_be_turned_off(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).status_code == 404


@pytest.fixture
async def operations(client: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    """The operations of the OpenAPI document by `operationId`."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    found = [operation for path in paths.values() for operation in path.values()]
    by_id = {operation["operationId"]: operation for operation in found}
    assert len(by_id) == len(found)
    return by_id


async def test_errors_are_described_as_problems(operations: dict[str, dict[str, Any]]) -> None:
    for operation in operations.values():
        assert "500" in operation["responses"]
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"]
                assert response["description"]


async def test_errors_of_a_route_are_described_by_their_titles(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, status, description in (
        ("change_password", "403", "Wrong password"),
        ("read_user", "403", "Forbidden"),
        ("list_users", "422", "Validation error"),
        ("list_users", "401", "Not authenticated"),
    ):
        assert operations[name]["responses"][status]["description"] == description


# Pydantic's names of limits. Those of JSON Schema are `minimum`, `maxLength` and so on.
LIMITS = {"ge", "gt", "le", "lt", "max_length", "min_length", "multiple_of"}


def misnamed_limits(schema: Any) -> set[str]:
    """Return the limits in a schema, and in those within it, that clients don't understand."""
    if isinstance(schema, list):
        return {name for item in schema for name in misnamed_limits(item)}
    if not isinstance(schema, dict):
        return set()
    found = {name for value in schema.values() for name in misnamed_limits(value)}
    return found | ({*schema} & LIMITS if isinstance(schema.get("type"), str) else set())


async def test_limits_have_the_names_of_json_schema(app: FastAPI) -> None:
    """In `Annotated`, a `Field` with limits comes before a `BeforeValidator`."""
    assert misnamed_limits(app.openapi()) == set()
    schema = TypeAdapter(Annotated[int, BeforeValidator(int), Field(ge=1)]).json_schema()
    assert misnamed_limits({"anyOf": [schema]}) == {"ge"}
    assert TypeAdapter(Int32).json_schema() == {
        "type": "integer",
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
    }


def is_paged(operation: dict[str, Any]) -> bool:
    return any(parameter["name"] == "cursor" for parameter in operation.get("parameters", []))


async def test_headers_are_described_where_they_are_sent(
    client: httpx2.AsyncClient, operations: dict[str, dict[str, Any]]
) -> None:
    of_status = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    components = (await client.get("/openapi.json")).json()["components"]["headers"]
    seen: set[str] = set()
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            expected = {"X-Request-ID", of_status.get(status)} - {None}
            if status == "200" and is_paged(operation):
                expected.add("Link")
            # Not each route that creates something says where it is.
            optional = {"Location"} if status == "201" else set()
            assert expected <= response["headers"].keys() <= expected | optional, (name, status)
            for header, reference in response["headers"].items():
                assert reference == {"$ref": f"#/components/headers/{header}"}
            seen |= response["headers"].keys()
    assert components.keys() == seen
    optional = {name for name, header in components.items() if not header["required"]}
    assert optional == {"Link"}


async def test_summary_is_the_first_line_of_the_docstring(
    operations: dict[str, dict[str, Any]],
) -> None:
    assert operations["update_me"]["summary"] == "Update the current user"
    assert operations["update_me"]["description"].endswith("has to be verified.")


async def test_no_content_has_no_schema(operations: dict[str, dict[str, Any]]) -> None:
    for operation in operations.values():
        for status in {"202", "204"} & operation["responses"].keys():
            assert "content" not in operation["responses"][status]


def test_route_may_describe_more() -> None:
    app = FastAPI(generate_unique_id_function=operation_id)
    install_openapi(app, "")
    header = {"description": "How old the answer is", "schema": {"type": "integer"}}
    responses = problems(EmailTakenError, LastSuperuserError) | {410: {"headers": {"Age": header}}}

    @app.get("/orders", summary="All orders", responses=responses)
    async def list_orders() -> None:
        """List orders."""

    operation = app.openapi()["paths"]["/orders"]["get"]
    assert operation["summary"] == "All orders"
    assert operation["security"] == []
    described = operation["responses"]
    assert described["409"]["description"] == "E-mail already registered or Last superuser"
    assert described["410"]["description"] == "Gone"
    assert described["410"]["headers"].keys() == {"Age", "X-Request-ID"}


# Any request may get one of these.
ALWAYS = {"400", "408", "413", "414", "415", "431", "500"}
STATUSES = {
    "livez": {"200", "503"},
    "readyz": {"200", "503"},
    "create_token": {"200", "401", "422", "503"},
    "refresh_token": {"200", "401", "422", "503"},
    "log_out": {"204", "401", "503"},
    "create_user": {"201", "403", "409", "422", "503"},
    "read_me": {"200", "401", "503"},
    "update_me": {"200", "401", "409", "422", "503"},
    "delete_me": {"204", "401", "404", "409", "503"},
    "change_password": {"204", "401", "403", "422", "503"},
    "list_users": {"200", "401", "403", "422", "503"},
    "update_user": {"200", "401", "403", "404", "409", "422", "503"},
}


@pytest.mark.parametrize("name", STATUSES)
async def test_every_status_is_listed(operations: dict[str, dict[str, Any]], name: str) -> None:
    # 429: tests/api/test_rate_limited_routes.py.
    assert operations[name]["responses"].keys() - {"429"} == STATUSES[name] | ALWAYS
