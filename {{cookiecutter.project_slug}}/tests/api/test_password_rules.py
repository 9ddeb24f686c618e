"""Which passwords are accepted, wherever a new one is set."""

import httpx2
import pytest

from tests.support import (
    USERS,
    assert_invalid,
    request_token,
    sign_up_body,
)


async def sign_up(client: httpx2.AsyncClient, password: str) -> httpx2.Response:
    return await client.post(USERS, json=sign_up_body("ada@example.com", password))


@pytest.mark.parametrize(
    ("password", "detail"),
    [
        ("eleven char", "must have 12 to 128 characters"),
        ("\u00e4" * 11, "must have 12 to 128 characters"),  # more than twelve bytes
        ("a\u0301" * 6, "must have 12 to 128 characters"),  # six letters
        ("x" * 129, "must have 12 to 128 characters"),
        ("a\u0301" * 600, "must have 12 to 128 characters"),
        ("twelve\x00 chars", "must not contain control characters"),
        ("my ADA@example.com", "must not contain the e-mail address"),
    ],
)
async def test_password_is_rejected_and_not_repeated(
    client: httpx2.AsyncClient, password: str, detail: str
) -> None:
    response = await sign_up(client, password)
    problem = assert_invalid(response, "/password")
    assert problem["errors"] == [{"detail": detail, "pointer": "/password"}]
    assert password not in response.text


async def test_password_with_the_name_of_its_mailbox_is_rejected(
    client: httpx2.AsyncClient,
) -> None:
    body = {"email": "lovelace@example.com", "password": "my little lovelace"}
    assert_invalid(await client.post(USERS, json=body), "/password")


@pytest.mark.parametrize(
    ("password", "typed"),
    [
        ("0123456789abcdef" * 8, "0123456789abcdef" * 8),  # the longest one
        ("пароль 🔐 ﬁancé Å", "пароль 🔐 fiancé Å"),
        ("\u00e4" * 128, "a\u0308" * 128),
        ("a\u0308" * 128, "\u00e4" * 128),
        ("correct\u1680horse\u3000battery", "correct horse battery"),
    ],
)
async def test_password_may_be_typed_with_other_code_points(
    client: httpx2.AsyncClient, password: str, typed: str
) -> None:
    assert (await sign_up(client, password)).status_code == 201
    assert (await request_token(client, "ada@example.com", typed)).status_code == 200


@pytest.mark.parametrize("settings_values", [{"password_min_length": 10}])
async def test_password_min_length_is_obeyed(client: httpx2.AsyncClient) -> None:
    problem = assert_invalid(await sign_up(client, "kv7Mz2qR9"), "/password")
    assert problem["errors"][0]["detail"] == "must have 10 to 128 characters"
    assert (await sign_up(client, "kv7Mz2qR9t")).status_code == 201
