"""Tests share applications (tests/conftest.py) and don't disturb each other."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI

from app.core.exceptions import ForbiddenError
from app.dependencies.current_user import get_current_session


@pytest.mark.parametrize("settings_values", [{"max_concurrent_requests": 1}])
@pytest.mark.parametrize("turn", ["first", "second"])
async def test_routes_and_overrides_of_a_test_are_gone_in_the_next(
    app: FastAPI, client: httpx2.AsyncClient, turn: str
) -> None:
    async def reject() -> None:
        raise ForbiddenError

    assert (await client.get("/added")).status_code == 404
    assert "/added" not in (await client.get("/openapi.json")).json()["paths"]
    assert (await client.get("/api/v1/users/me")).status_code == 401

    @app.get("/added")
    async def added() -> None:
        await asyncio.sleep(0.01)  # the other request waits for its slot

    app.dependency_overrides[get_current_session] = reject
    responses = await asyncio.gather(client.get("/added"), client.get("/added"))
    assert [response.status_code for response in responses] == [200, 200]
    assert (await client.get("/api/v1/users/me")).status_code == 403
    app.openapi_schema = None
    assert "/added" in (await client.get("/openapi.json")).json()["paths"]
