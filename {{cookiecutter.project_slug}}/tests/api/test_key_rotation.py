"""A new SECRET_KEY, with the old one in SECRET_KEY_FALLBACKS: nobody is signed out."""

from pydantic import SecretStr
from sqlalchemy import select, update

from app.core.security import hmac_sha256, key_id
from app.db.session import Database
from app.dependencies.resources import Resources
from app.models.user_session import RefreshToken
from tests.support import UserClient, assert_problem, request_refresh

NEW_KEY = "another key for tests that signs nothing"


def rotate_key(resources: Resources) -> str:
    """Do what an operator does, and return the old key."""
    old = resources.settings.secret_key
    changes = {"secret_key": SecretStr(NEW_KEY), "secret_key_fallbacks": [old]}
    resources.settings = resources.settings.model_copy(update=changes)
    return old.get_secret_value()


def forget_old_keys(resources: Resources) -> None:
    resources.settings = resources.settings.model_copy(update={"secret_key_fallbacks": []})


async def test_signed_in_user_stays_signed_in(ada: UserClient, resources: Resources) -> None:
    rotate_key(resources)
    assert await ada.is_signed_in()
    forget_old_keys(resources)
    assert not await ada.is_signed_in()


async def test_refreshed_session_no_longer_needs_the_old_key(
    ada: UserClient, ada_elsewhere: UserClient, resources: Resources
) -> None:
    rotate_key(resources)
    ada.tokens = (await request_refresh(ada, ada.tokens["refresh_token"])).json()
    ada.headers["Authorization"] = f"Bearer {ada.tokens['access_token']}"
    forget_old_keys(resources)
    assert await ada.is_signed_in()
    assert await ada.can_refresh()
    assert not await ada_elsewhere.can_refresh()


async def test_used_token_of_an_old_key_still_revokes_its_session(
    ada: UserClient, resources: Resources
) -> None:
    used = ada.tokens["refresh_token"]
    rotate_key(resources)
    ada.tokens = (await request_refresh(ada, used)).json()
    assert_problem(await request_refresh(ada, used), 401, "invalid-refresh-token")
    assert not await ada.can_refresh()


async def test_each_refresh_token_records_its_key(
    ada: UserClient, resources: Resources, database: Database
) -> None:
    old_key = rotate_key(resources)
    new = (await request_refresh(ada, ada.tokens["refresh_token"])).json()
    async with database.session() as reader:
        tokens = [*await reader.scalars(select(RefreshToken).order_by(RefreshToken.id))]
    assert [token.key_id for token in tokens] == [key_id(old_key), key_id(NEW_KEY)]
    assert tokens[1].token_hash == hmac_sha256(NEW_KEY, new["refresh_token"])


async def test_token_from_before_the_column_works(ada: UserClient, database: Database) -> None:
    async with database.session.begin() as session:
        await session.execute(update(RefreshToken).values(key_id=None))
    assert await ada.can_refresh()
