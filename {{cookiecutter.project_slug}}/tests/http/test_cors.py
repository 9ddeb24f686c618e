import httpx2
import pytest

from tests.support import USERS

ORIGIN = "https://app.example.com"
ELSEWHERE = "https://elsewhere.example.com"
OPEN = pytest.mark.parametrize("settings_values", [{"cors_origins": [ORIGIN]}])


async def test_cors_is_closed_by_default(client: httpx2.AsyncClient) -> None:
    response = await client.get("/livez", headers={"Origin": ELSEWHERE})
    assert "Access-Control-Allow-Origin" not in response.headers


@OPEN
async def test_script_may_read_the_headers_of_the_contract(client: httpx2.AsyncClient) -> None:
    headers = (await client.get("/livez", headers={"Origin": ORIGIN})).headers
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = "Link, Location, Retry-After, X-Request-ID"
    assert headers["Access-Control-Expose-Headers"] == exposed


@OPEN
@pytest.mark.parametrize(("origin", "status"), [(ORIGIN, 200), (ELSEWHERE, 204)])
async def test_preflight_is_answered_with_the_common_headers(
    client: httpx2.AsyncClient, origin: str, status: int
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "X-Request-ID": "mine"}
    response = await client.options(USERS, headers=headers)
    assert response.status_code == status
    assert ("Access-Control-Allow-Origin" in response.headers) == (status == 200)
    assert response.headers["X-Request-ID"] == "mine"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
