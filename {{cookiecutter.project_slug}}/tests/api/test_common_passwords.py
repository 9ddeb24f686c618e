"""The list of common passwords, wherever a new password is set."""

import httpx2
import pytest

from tests.support import (
    ME,
    PASSWORD,
    USERS,
    UserClient,
    assert_invalid,
    sign_up_body,
)


async def sign_up(client: httpx2.AsyncClient, password: str) -> httpx2.Response:
    return await client.post(USERS, json=sign_up_body("bob@example.com", password))


@pytest.mark.parametrize("password", ["password1234", "Password1234"])
async def test_common_password_is_rejected_and_not_repeated(
    client: httpx2.AsyncClient, ada: UserClient, password: str
) -> None:
    change = {"current_password": PASSWORD, "new_password": password}
    for response, field in [
        (await sign_up(client, password), "password"),
        (await ada.post(f"{ME}/password", json=change), "new_password"),
    ]:
        problem = assert_invalid(response, f"/{field}")
        assert problem["errors"] == [{"detail": "is too common", "pointer": f"/{field}"}]
        assert password not in response.text


@pytest.mark.parametrize("settings_values", [{"password_reject_common": False}])
async def test_common_passwords_can_be_allowed(client: httpx2.AsyncClient) -> None:
    assert (await sign_up(client, "password1234")).status_code == 201


@pytest.mark.parametrize(
    "settings_values", [{"password_min_length": 8, "password_reject_common": False}]
)
async def test_short_and_common_passwords_can_be_allowed(
    client: httpx2.AsyncClient, ada: UserClient
) -> None:
    assert_invalid(await sign_up(client, "qwertyu"), "/password")
    assert (await sign_up(client, "qwertyui")).status_code == 201
    change = {"current_password": PASSWORD, "new_password": "password"}
    assert (await ada.post(f"{ME}/password", json=change)).status_code == 204
    await ada.sign_in("password")
