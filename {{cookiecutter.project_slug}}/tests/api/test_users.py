"""Users: sign-up, oneself, and administration."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.db.session import Database
from app.models import User, UserSession
from tests.support import ME, PASSWORD, USERS, log_in, sign_up


async def test_sign_up(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        USERS,
        json={"email": "Ada@Example.COM", "password": PASSWORD, "full_name": "Ada Lovelace"},
    )
    assert response.status_code == 201
    user = response.json()
    assert response.headers["Location"] == f"{USERS}/{user['id']}"
    assert UUID(user["id"]).version == 7
    assert user["created_at"].endswith("Z")
    assert user["updated_at"].endswith("Z")
    del user["id"], user["created_at"], user["updated_at"]
    assert user == {
        "email": "ada@example.com",
        "full_name": "Ada Lovelace",
        "is_active": True,
        "is_superuser": False,
        "is_verified": False,
    }


async def test_created_user_is_seen_by_another_connection(
    client: httpx2.AsyncClient, user: dict[str, Any], database: Database
) -> None:
    async with database.read_session() as session:
        assert await session.scalar(select(User.email)) == user["email"]


@pytest.mark.parametrize(
    ("email", "same"),
    [
        ("ada@example.com", "ADA@example.com"),
        ("ada@example.com", "ada@EXAMPLE.com"),
        (
            "\u01f0ane@example.com",
            "J\u030cane@example.com",
        ),  # has one code point in lower case only
    ],
)
async def test_taken_address_in_any_case(client: httpx2.AsyncClient, email: str, same: str) -> None:
    await sign_up(client, email)
    response = await client.post(USERS, json={"email": same, "password": PASSWORD})
    assert response.status_code == 409
    assert response.json()["type"] == "/problems/email-already-registered"


async def test_one_of_many_sign_ups_wins(client: httpx2.AsyncClient, database: Database) -> None:
    addresses = ["ada@example.com", "Ada@example.com", "ADA@EXAMPLE.COM", "ada@Example.com"] * 5
    responses = await asyncio.gather(
        *(client.post(USERS, json={"email": email, "password": PASSWORD}) for email in addresses)
    )
    assert sorted(response.status_code for response in responses) == [201] + [409] * 19
    async with database.read_session() as session:
        assert list(await session.scalars(select(User.email))) == ["ada@example.com"]


async def test_address_with_a_name_is_refused(client: httpx2.AsyncClient) -> None:
    body = {"email": "Ada Lovelace <ada@example.com>", "password": PASSWORD}
    response = await client.post(USERS, json=body)
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"detail": "must be an address alone, without a name", "pointer": "/email"}
    ]


@pytest.mark.parametrize("email", ["ada@example.com", "Ada@example.com", "ADA@EXAMPLE.COM"])
async def test_database_itself_refuses_a_taken_address(
    user: dict[str, Any], database: Database, email: str
) -> None:
    async with database.session() as session:
        session.add(User(email=email, hashed_password="x"))
        with pytest.raises(IntegrityError):
            await session.flush()


@pytest.mark.parametrize("settings_values", [{"allow_signup": False}])
async def test_closed_sign_up(client: httpx2.AsyncClient) -> None:
    response = await client.post(USERS, json={"email": "ada@example.com", "password": PASSWORD})
    assert response.status_code == 403
    assert response.json()["type"] == "/problems/signup-closed"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "no address"}, "/email"),
        ({"email": "ada@example"}, "/email"),
        ({"email": "a" * 250 + "@example.com"}, "/email"),
        ({"email": None}, "/email"),
        ({"email": 5}, "/email"),
        ({"email": "=?utf-8?q?vict=69m?=@example.com"}, "/email"),
        ({"password": "eleven char"}, "/password"),
        ({"password": "ä" * 11}, "/password"),  # more than twelve bytes
        ({"password": "a\u0301" * 6}, "/password"),  # six letters
        ({"password": "x" * 129}, "/password"),
        ({"password": "a\u0301" * 600}, "/password"),
        ({"password": "twelve\x00 chars"}, "/password"),
        ({"password": "my ADA@example.com"}, "/password"),
        ({"password": "my little lovelace"}, "/password"),
        ({"full_name": ""}, "/full_name"),
        ({"full_name": "x" * 201}, "/full_name"),
        ({"full_name": "A\x00da"}, "/full_name"),
        ({"is_superuser": True}, "/is_superuser"),
        ({"is/~odd": True}, "/is~1~0odd"),
    ],
)
async def test_refused_sign_up(
    client: httpx2.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    body = {"email": "lovelace@example.com", "password": PASSWORD}
    if "ADA" in str(change):
        body["email"] = "ada@example.com"
    response = await client.post(USERS, json=body | change)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    (value,) = change.values()
    assert not isinstance(value, str) or not value or value not in response.text


async def test_password_may_hold_any_character(client: httpx2.AsyncClient) -> None:
    password = "пароль 🔐 ﬁancé Å"
    body = {"email": "ada@example.com", "password": password}
    assert (await client.post(USERS, json=body)).status_code == 201
    # Typed with other code points, the same text is the same password.
    await log_in(client, "ada@example.com", "пароль 🔐 fiancé Å")


@pytest.mark.parametrize(
    ("password", "typed"),
    [
        ("0123456789abcdef" * 8, "0123456789abcdef" * 8),
        ("\u00e4" * 128, "a\u0308" * 128),
        ("a\u0308" * 128, "\u00e4" * 128),
        ("correct\u1680horse\u3000battery", "correct horse battery"),
    ],
)
async def test_longest_password_and_other_ways_to_type_it(
    client: httpx2.AsyncClient, password: str, typed: str
) -> None:
    body = {"email": "ada@example.com", "password": password}
    assert (await client.post(USERS, json=body)).status_code == 201
    await log_in(client, "ada@example.com", typed)


async def test_me(
    client: httpx2.AsyncClient, user: dict[str, Any], user_headers: dict[str, str]
) -> None:
    response = await client.get(ME, headers=user_headers)
    assert response.status_code == 200
    assert response.json() == user


async def test_update_me(
    client: httpx2.AsyncClient, user: dict[str, Any], user_headers: dict[str, str]
) -> None:
    response = await client.patch(ME, json={"full_name": "Ada"}, headers=user_headers)
    assert response.status_code == 200
    changed = response.json()
    assert changed["updated_at"] > user["updated_at"]
    assert changed == user | {"full_name": "Ada", "updated_at": changed["updated_at"]}
    response = await client.patch(ME, json={"full_name": None}, headers=user_headers)
    assert response.json()["full_name"] is None
    assert (await client.patch(ME, json={}, headers=user_headers)).status_code == 200


async def test_update_me_to_a_taken_address(
    client: httpx2.AsyncClient, user_headers: dict[str, str]
) -> None:
    await sign_up(client, "bob@example.com")
    response = await client.patch(ME, json={"email": "Bob@example.com"}, headers=user_headers)
    assert response.status_code == 409
    assert (await client.get(ME, headers=user_headers)).json()["email"] == "ada@example.com"


@pytest.mark.parametrize("body", [{"is_superuser": True}, {"email": None}, {"is_active": True}])
async def test_update_me_refuses(
    client: httpx2.AsyncClient, user_headers: dict[str, str], body: dict[str, Any]
) -> None:
    assert (await client.patch(ME, json=body, headers=user_headers)).status_code == 422


async def test_delete_me(
    client: httpx2.AsyncClient, user_headers: dict[str, str], database: Database
) -> None:
    assert (await client.delete(ME, headers=user_headers)).status_code == 204
    assert (await client.get(ME, headers=user_headers)).status_code == 401
    async with database.read_session() as session:
        assert await session.scalar(select(func.count()).select_from(UserSession)) == 0


async def test_administration_is_for_superusers(
    client: httpx2.AsyncClient, user: dict[str, Any], user_headers: dict[str, str]
) -> None:
    path = f"{USERS}/{user['id']}"
    for method, url in [("GET", USERS), ("GET", path), ("PATCH", path), ("DELETE", path)]:
        body: dict[str, bool] | None = {} if method == "PATCH" else None
        response = await client.request(method, url, headers=user_headers, json=body)
        assert response.status_code == 403
        assert response.json()["type"] == "/problems/forbidden"


async def test_superuser_reads_changes_and_deletes(
    client: httpx2.AsyncClient, user: dict[str, Any], superuser_headers: dict[str, str]
) -> None:
    path = f"{USERS}/{user['id']}"
    assert (await client.get(path, headers=superuser_headers)).json() == user
    response = await client.patch(path, json={"is_verified": True}, headers=superuser_headers)
    assert response.json()["is_verified"] is True
    assert (await client.delete(path, headers=superuser_headers)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        body: dict[str, bool] | None = {} if method == "PATCH" else None
        response = await client.request(method, path, headers=superuser_headers, json=body)
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/not-found"


async def test_last_superuser_stays(
    client: httpx2.AsyncClient, superuser_headers: dict[str, str]
) -> None:
    me = (await client.get(ME, headers=superuser_headers)).json()
    path = f"{USERS}/{me['id']}"
    responses = [
        await client.patch(path, json={"is_superuser": False}, headers=superuser_headers),
        await client.patch(path, json={"is_active": False}, headers=superuser_headers),
        await client.delete(path, headers=superuser_headers),
        await client.delete(ME, headers=superuser_headers),
    ]
    assert {response.status_code for response in responses} == {409}
    assert (await client.get(ME, headers=superuser_headers)).json() == me


@pytest.fixture
async def everybody(client: httpx2.AsyncClient, superuser_headers: dict[str, str]) -> list[str]:
    """The addresses of all users in order of creation."""
    addresses = ["dora@example.com", "bob@example.com", "eve_@example.com", "cecil@example.com"]
    for address in addresses:
        await sign_up(client, address)
    return ["root@example.com", *addresses]


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "email", "-email"])
async def test_pages(
    client: httpx2.AsyncClient, everybody: list[str], superuser_headers: dict[str, str], sort: str
) -> None:
    expected = sorted(everybody) if sort.endswith("email") else everybody
    if sort.startswith("-"):
        expected = expected[::-1]
    url: str | None = f"{USERS}?limit=2&sort={sort}"
    pages = []
    while url is not None:
        response = await client.get(url, headers=superuser_headers)
        assert response.status_code == 200
        body = response.json()
        pages.append([user["email"] for user in body["items"]])
        link = response.links.get("next")
        url = link["url"] if link else None
        assert (body["next_cursor"] is None) == (url is None)
    assert pages == [expected[0:2], expected[2:4], expected[4:]]


async def test_page_survives_the_end_of_the_row_it_began_after(
    client: httpx2.AsyncClient, everybody: list[str], superuser_headers: dict[str, str]
) -> None:
    first = (await client.get(f"{USERS}?limit=2", headers=superuser_headers)).json()
    await client.delete(f"{USERS}/{first['items'][1]['id']}", headers=superuser_headers)
    await sign_up(client, "zoe@example.com")
    response = await client.get(
        USERS, params={"cursor": first["next_cursor"]}, headers=superuser_headers
    )
    addresses = [user["email"] for user in response.json()["items"]]
    assert addresses == [*everybody[2:], "zoe@example.com"]


@pytest.mark.parametrize("sort", ["-created_at", "-email"])
async def test_rows_added_before_a_page_repeat_none(
    client: httpx2.AsyncClient, everybody: list[str], superuser_headers: dict[str, str], sort: str
) -> None:
    query = {"limit": "2", "sort": sort}
    first = (await client.get(USERS, params=query, headers=superuser_headers)).json()
    await sign_up(client, "zoe@example.com")  # stands first in both orders
    query = {"cursor": first["next_cursor"], "sort": sort}
    second = (await client.get(USERS, params=query, headers=superuser_headers)).json()
    addresses = [user["email"] for user in first["items"] + second["items"]]
    assert sorted(addresses) == sorted(everybody)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "BOB@"}, ["bob@example.com"]),
        ({"q": "_"}, ["eve_@example.com"]),
        ({"q": "%"}, []),
        ({"q": "\\"}, []),
        ({"is_active": "false"}, []),
        ({"is_active": "true", "limit": "1"}, ["root@example.com"]),
    ],
)
async def test_filters(
    client: httpx2.AsyncClient,
    everybody: list[str],
    superuser_headers: dict[str, str],
    query: dict[str, str],
    found: list[str],
) -> None:
    response = await client.get(USERS, params=query, headers=superuser_headers)
    assert [user["email"] for user in response.json()["items"]] == found


async def test_cursor_of_another_sort_or_forged(
    client: httpx2.AsyncClient, everybody: list[str], superuser_headers: dict[str, str]
) -> None:
    page = (await client.get(f"{USERS}?limit=1", headers=superuser_headers)).json()
    cursor = page["next_cursor"]
    for query in (
        {"cursor": cursor, "sort": "email"},
        {"cursor": cursor[:-3] + "abc"},
        {"cursor": "x"},
    ):
        response = await client.get(USERS, params=query, headers=superuser_headers)
        assert response.status_code == 422
        assert response.json()["type"] == "/problems/invalid-cursor"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "sort=id", "is_active=2"])
async def test_refused_query(
    client: httpx2.AsyncClient, superuser_headers: dict[str, str], query: str
) -> None:
    response = await client.get(f"{USERS}?{query}", headers=superuser_headers)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["in"], error["name"]) == ("query", query.partition("=")[0])
