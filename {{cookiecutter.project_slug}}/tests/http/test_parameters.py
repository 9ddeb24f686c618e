"""Bad query and path parameters, and headers of any bytes."""

from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, Form, Header, Query

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


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "inf", "1e400"])
async def test_number_that_json_cannot_carry_is_422_in_text(
    app: FastAPI, client: httpx2.AsyncClient, number: str
) -> None:
    @app.post("/{path}", include_in_schema=False)
    async def take(
        path: float,
        one: float | None = None,
        many: Annotated[list[float], Query()] = [],  # noqa: B006 -- FastAPI copies it
        x_number: Annotated[float, Header()] = 0,
        field: Annotated[float, Form()] = 0,
    ) -> float:
        return path

    assert (await client.post("/1.5", data={"field": "1"})).json() == 1.5
    for response in (
        await client.post(f"/{number}"),
        await client.post("/1", params={"one": number}),
        await client.post("/1", params={"many": ["1", number]}),
        await client.post("/1", headers={"X-Number": number}),
        await client.post("/1", data={"field": number}),
    ):
        problem = assert_problem(response, 422, "validation-error")
        assert (
            problem["errors"][0]["detail"] == "Input should be a finite number of at most 64 bits"
        )


@pytest.mark.parametrize(("number", "status"), [(2**63 - 1, 200), (-(2**64), 422), (2**63, 422)])
async def test_integer_of_a_parameter_fits_into_a_column(
    app: FastAPI, client: httpx2.AsyncClient, number: int, status: int
) -> None:
    @app.get("/numbers/{number}", include_in_schema=False)
    async def read(number: int) -> int:
        return number

    assert (await client.get(f"/numbers/{number}")).status_code == status
