"""Bad query and path parameters, and headers of any bytes."""

import httpx2
import pytest

from tests.support import AUTH, ME, PASSWORD, USERS, UserClient, assert_problem


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=",
        f"q={'x' * 255}",
        "limit=NaN",
        "limit=1e400",
        f"limit={'9' * 5000}",
        "limit=0",
        "limit=101",
        "limit=١",
        "is_active=maybe",
        "sort=hashed_password",
        "cursor=%00",
        "cursor=%ff",
        "cursor=é",
        "cursor=a.b.c",
    ],
)
async def test_bad_query_is_422_and_names_the_parameter(root: UserClient, query: str) -> None:
    response = await root.get(f"{USERS}?{query}")
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error == {
        "detail": error["detail"],
        "in": "query",
        "name": query.partition("=")[0],
    }


@pytest.mark.parametrize("path", ["%00", "%ff", "%F0%9F%92%A9", "x" * 10_000, "0" * 32 + "%0A"])
async def test_path_of_any_bytes_is_a_problem(root: UserClient, path: str) -> None:
    response = await root.get(f"{USERS}/{path}")
    assert response.status_code in {404, 422}
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_bad_path_parameter_is_422(root: UserClient) -> None:
    response = await root.get(f"{USERS}/not-a-uuid")
    problem = assert_problem(response, 422, "validation-error")
    assert problem["errors"] == [
        {"detail": "Input should be a valid UUID", "in": "path", "name": "user_id"}
    ]


@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer ", b"Bearer \xff\xfe", b"Bearer a.b.c", b"Basic YTpi", b"\x00"]
)
async def test_bad_authorization_is_401(client: httpx2.AsyncClient, value: bytes) -> None:
    response = await client.get(ME, headers=[(b"authorization", value)])
    assert_problem(response, 401, "not-authenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_user_agent_may_be_any_bytes(ada: UserClient) -> None:
    response = await ada.post(
        f"{AUTH}/token",
        data={"username": ada.email, "password": PASSWORD},
        headers=[(b"user-agent", b"\xff\x80\t" * 1000)],
    )
    assert response.status_code == 200
