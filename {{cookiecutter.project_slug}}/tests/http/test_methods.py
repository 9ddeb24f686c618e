"""HEAD and `Allow`, which take all routes of a path into account."""

import httpx2
from fastapi import FastAPI

from tests.support import AUTH, ME, assert_problem


async def test_wrong_method_is_405_with_all_allowed_ones(
    client: httpx2.AsyncClient, static_file: str
) -> None:
    response = await client.put("/livez")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET, HEAD"
    response = await client.put(ME)
    assert response.headers["Allow"] == "DELETE, GET, HEAD, PATCH"
    response = await client.post(static_file)
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET, HEAD"


async def test_head_is_answered_like_get(client: httpx2.AsyncClient, static_file: str) -> None:
    response = await client.head("/livez")
    assert response.status_code == 200
    assert response.headers["X-Request-ID"]
    assert (await client.head(static_file)).status_code == 200
    assert (await client.head(ME)).status_code == 401
    response = await client.head(f"{AUTH}/token")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


async def test_route_for_head_is_preferred(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.head("/only-head", include_in_schema=False)
    async def only_head() -> None:
        """Answers 200."""

    assert (await client.head("/only-head")).status_code == 200
