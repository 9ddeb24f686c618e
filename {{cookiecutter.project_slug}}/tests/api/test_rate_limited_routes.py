"""Routes without sign-in that do more than read have a rate limit."""

import httpx2
import pytest
from fastapi import FastAPI

from app.dependencies.resources import Resources
from app.utils.rate_limit import PER_IP
from tests.api.test_access import OPTIONAL_SIGN_IN, PUBLIC, Call, calls

# Routes without sign-in that need no rate limit (RateLimitByIP), because a call costs little.
UNLIMITED: set[str] = set()


def needs_limit(call: Call) -> bool:
    is_public = call.name in PUBLIC | OPTIONAL_SIGN_IN
    return is_public and call.method not in {"GET", "HEAD"} and call.name not in UNLIMITED


async def find_unlimited_routes(
    client: httpx2.AsyncClient, app: FastAPI, resources: Resources
) -> list[str]:
    """List the routes that answer without a token however often an address has called them."""
    while await resources.rate_limits.allows(PER_IP, "127.0.0.1"):
        pass
    problems = []
    for call in calls(app):
        if needs_limit(call):
            response = await client.request(call.method, call.url)
            status = response.status_code
            if status != 429:
                problems.append(
                    f"{call} answers {status} after too many requests: give it "
                    f"`dependencies=[RateLimitByIP]`, or if a call costs little, add {call.name!r} to "
                    "UNLIMITED in tests/api/test_rate_limited_routes.py"
                )
    return problems


async def test_public_route_has_a_rate_limit(
    client: httpx2.AsyncClient, app: FastAPI, resources: Resources
) -> None:
    assert await find_unlimited_routes(client, app, resources) == []


async def test_forgotten_limit_is_found(
    client: httpx2.AsyncClient, app: FastAPI, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.post("/open", include_in_schema=False)
    @app.get("/open", include_in_schema=False)
    async def open_to_all() -> None:
        """Take no user."""

    monkeypatch.setattr(f"{__name__}.PUBLIC", PUBLIC | {"open_to_all"})
    (problem,) = await find_unlimited_routes(client, app, resources)
    assert problem.startswith(
        "POST /open (route 'open_to_all') answers 200 after too many requests"
    )


def test_openapi_document_has_the_status_of_the_limit(app: FastAPI) -> None:
    limited = {call.name for call in calls(app) if needs_limit(call)}
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            if operation["operationId"] in limited:
                assert "429" in operation["responses"], (
                    f"route {operation['operationId']!r}: `responses=problems(TooManyAttemptsError)`"
                )
