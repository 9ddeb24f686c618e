"""Signing in with an e-mail address and a password."""

from datetime import timedelta

import httpx2
import jwt
import pytest
from sqlalchemy import update

from app.core.config import Settings
from app.db.base import utc_now
from app.db.session import Database
from app.models.user import User
from tests.support import (
    PASSWORD,
    UserClient,
    assert_problem,
    request_token,
    without_request_id,
)


async def test_login_returns_the_tokens_of_oauth2(ada: UserClient) -> None:
    assert ada.tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert ada.tokens["token_type"] == "bearer"
    assert ada.tokens["expires_in"] == 15 * 60
    assert await ada.is_signed_in()


@pytest.mark.parametrize("settings_values", [{}, {"access_token_minutes": 7}])
async def test_access_token_expires_when_expires_in_says(
    ada: UserClient, settings: Settings
) -> None:
    claims = jwt.decode(ada.tokens["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == ada.tokens["expires_in"]
    assert ada.tokens["expires_in"] == settings.access_token_minutes * 60


async def test_address_is_compared_without_case(
    client: httpx2.AsyncClient, ada: UserClient
) -> None:
    assert (await request_token(client, "ADA@example.com")).status_code == 200


async def test_password_never_expires(ada: UserClient, database: Database) -> None:
    long_ago = utc_now() - timedelta(days=3650)
    async with database.session.begin() as session:
        await session.execute(update(User).values(created_at=long_ago, updated_at=long_ago))
    await ada.sign_in()


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("nobody@example.com", PASSWORD),
        ("not an address", PASSWORD),
        ("ada@example.com\x00", PASSWORD),
        ("ada@example.com", "x" * 10_000),
    ],
)
async def test_wrong_credentials_all_get_the_same_answer(
    client: httpx2.AsyncClient, ada: UserClient, username: str, password: str
) -> None:
    wrong_password = await request_token(client, ada.email, "not her password")
    assert_problem(
        wrong_password,
        401,
        "wrong-credentials",
        detail="The e-mail address or the password is wrong.",
    )
    assert wrong_password.headers["WWW-Authenticate"] == "Bearer"
    response = await request_token(client, username, password)
    assert without_request_id(response) == without_request_id(wrong_password)


async def test_deactivated_user_cannot_sign_in(
    client: httpx2.AsyncClient, ada: UserClient, database: Database
) -> None:
    async with database.session.begin() as session:
        await session.execute(update(User).values(is_active=False))
    assert_problem(await request_token(client, ada.email), 401, "wrong-credentials")
