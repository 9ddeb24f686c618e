import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from app.http.openapi import install_openapi
from app.http.strict_json import JSONRoute


async def test_docs_need_no_internet(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    urls = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(urls) == 3
    for url in urls:
        assert url.startswith("/docs/assets/")
        assert (await client.get(url)).status_code == 200


async def test_project_may_have_any_name(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.docs.PROJECT_NAME", "</title><script>alert(1)</script>")
    page = (await client.get("/docs")).text
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("settings_values", [{"docs_enabled": False}])
async def test_docs_can_be_turned_off(client: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css"):
        assert (await client.get(path)).status_code == 404


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


async def test_description_of_the_route_wins(operations: dict[str, dict[str, Any]]) -> None:
    for name, status, description in (
        ("change_password", "403", "The current password is wrong"),
        ("read_user", "403", "Not enough rights"),
        ("list_users", "422", "The request is not valid"),
    ):
        assert operations[name]["responses"][status]["description"] == description


HEADERS = {
    "201": {"Location"},
    "401": {"WWW-Authenticate"},
    "429": {"Retry-After"},
    "503": {"Retry-After"},
}


async def test_headers_are_described(
    client: httpx2.AsyncClient, operations: dict[str, dict[str, Any]]
) -> None:
    components = (await client.get("/openapi.json")).json()["components"]["headers"]
    seen = set()
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            expected = {"X-Request-ID"} | HEADERS.get(status, set())
            if (name, status) == ("list_users", "200"):
                expected.add("Link")
            assert response["headers"].keys() == expected, (name, status)
            for header, reference in response["headers"].items():
                assert reference == {"$ref": f"#/components/headers/{header}"}
            seen |= expected
    assert components.keys() == seen
    optional = {name for name, header in components.items() if not header.get("required")}
    assert optional == {"Link"}


async def test_route_may_describe_more() -> None:
    app = FastAPI()
    install_openapi(app)
    header = {"description": "How old the answer is", "schema": {"type": "integer"}}

    @app.get("/orders", responses={409: {"headers": {"Age": header}}})
    async def orders() -> None:
        """Nobody asks for them."""

    response = app.openapi()["paths"]["/orders"]["get"]["responses"]["409"]
    assert response["description"] == "Conflict"
    assert response["headers"]["Age"] == header
    assert "X-Request-ID" in response["headers"]


async def test_every_route_reads_strict_json(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.body_field is not None:
            assert isinstance(route, JSONRoute)


# Any of these may be the answer whatever is asked for.
ALWAYS = {"400", "408", "413", "414", "415", "431", "500"}
STATUSES = {
    "livez": {"200"},
    "readyz": {"200", "503"},
    "create_token": {"200", "401", "422", "429", "503"},
    "refresh_token": {"200", "401", "422", "429", "503"},
    "log_out": {"204", "401", "503"},
    "verify_email": {"204", "422", "429", "503"},
    "request_password_reset": {"202", "422", "429", "503"},
    "create_user": {"201", "403", "409", "422", "429", "503"},
    "read_me": {"200", "401", "503"},
    "update_me": {"200", "401", "409", "422", "429", "503"},
    "delete_me": {"204", "401", "409", "503"},
    "change_password": {"204", "401", "403", "422", "429", "503"},
    "revoke_user_session": {"204", "401", "404", "422", "503"},
    "list_users": {"200", "401", "403", "422", "503"},
    "update_user": {"200", "401", "403", "404", "409", "422", "503"},
}


@pytest.mark.parametrize("name", STATUSES)
async def test_every_status_is_listed(operations: dict[str, dict[str, Any]], name: str) -> None:
    assert operations[name]["responses"].keys() == STATUSES[name] | ALWAYS
