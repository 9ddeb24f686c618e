"""Creating an account."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.core.exceptions import EmailTakenError
from app.db.session import Database
from app.models.user import User
from tests.support import (
    USERS,
    UserClient,
    assert_invalid,
    assert_problem,
    make_user,
    sign_up_body,
)


async def test_sign_up_returns_the_user_and_its_location(client: httpx2.AsyncClient) -> None:
    body = sign_up_body("Ada@Example.COM") | {"full_name": "Ada Lovelace"}
    response = await client.post(USERS, json=body)
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


async def test_new_user_is_committed_before_the_response(
    ada: UserClient, database: Database
) -> None:
    async with database.session() as reader:
        assert await reader.scalar(select(User.email)) == ada.email


@pytest.mark.parametrize(
    ("email", "same"),
    [
        ("ada@example.com", "ADA@example.com"),
        ("ada@example.com", "ada@EXAMPLE.com"),
        # This letter has one code point in lower case only.
        ("\u01f0ane@example.com", "J\u030cane@example.com"),
    ],
)
async def test_address_is_taken_in_any_case(
    client: httpx2.AsyncClient, email: str, same: str
) -> None:
    response = await client.post(USERS, json=sign_up_body(email))
    assert response.status_code == 201
    response = await client.post(USERS, json=sign_up_body(same))
    assert_problem(response, 409, "email-already-registered")


async def test_one_of_many_concurrent_sign_ups_succeeds(
    client: httpx2.AsyncClient, database: Database
) -> None:
    addresses = ["ada@example.com", "Ada@example.com", "ADA@EXAMPLE.COM", "ada@Example.com"] * 5
    responses = await asyncio.gather(
        *(client.post(USERS, json=sign_up_body(email)) for email in addresses)
    )
    assert sorted(response.status_code for response in responses) == [201] + [409] * 19
    async with database.session() as reader:
        assert list(await reader.scalars(select(User.email))) == ["ada@example.com"]


@pytest.mark.parametrize(
    ("email", "error"),
    [
        ("ada@example.com", EmailTakenError),
        # Only a bug could store these.
        ("Ada@example.com", IntegrityError),
        ("ADA@example.com", IntegrityError),
    ],
)
async def test_database_itself_rejects_a_taken_address_in_any_case(
    ada: UserClient, database: Database, email: str, error: type[Exception]
) -> None:
    async with database.session() as session:
        session.add(make_user(email))
        with pytest.raises(error):
            await session.flush()


@pytest.mark.parametrize("settings_values", [{"allow_signup": False}])
async def test_sign_up_can_be_closed(client: httpx2.AsyncClient) -> None:
    response = await client.post(USERS, json=sign_up_body("ada@example.com"))
    assert_problem(response, 403, "signup-closed")


async def test_address_with_a_name_is_rejected(client: httpx2.AsyncClient) -> None:
    body = sign_up_body("Ada Lovelace <ada@example.com>")
    problem = assert_invalid(await client.post(USERS, json=body), "/email")
    assert problem["errors"][0]["detail"] == "must be an address alone, without a name"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "not an address"}, "/email"),
        ({"email": "ada@example"}, "/email"),
        ({"email": "a" * 250 + "@example.com"}, "/email"),
        ({"email": None}, "/email"),
        ({"email": 5}, "/email"),
        ({"email": "=?utf-8?q?vict=69m?=@example.com"}, "/email"),
        ({"full_name": ""}, "/full_name"),
        ({"full_name": "x" * 201}, "/full_name"),
        ({"full_name": "A\x00da"}, "/full_name"),
        ({"is_superuser": True}, "/is_superuser"),
        ({"is/~odd": True}, "/is~1~0odd"),
    ],
)
async def test_invalid_field_is_rejected_and_not_repeated(
    client: httpx2.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    response = await client.post(USERS, json=sign_up_body("ada@example.com") | change)
    assert_invalid(response, pointer)
    (value,) = change.values()
    assert not isinstance(value, str) or not value or value not in response.text
