import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from app.api.json_route import JSONRoute


async def test_docs_need_no_internet(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    urls = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(urls) == 3
    for url in urls:
        assert url.startswith("/docs/assets/")
        assert (await client.get(url)).status_code == 200


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


async def test_every_route_reads_strict_json(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.body_field is not None:
            assert isinstance(route, JSONRoute)


async def test_bodies_and_rights_have_their_errors(operations: dict[str, dict[str, Any]]) -> None:
    assert {"400", "408", "409", "413", "415", "422"} <= operations["create_user"][
        "responses"
    ].keys()
    assert {"401", "403", "404"} <= operations["read_user"]["responses"].keys()
