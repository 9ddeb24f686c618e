"""The list of all users: pages and filters. For cursors see test_cursors.py."""

from typing import Any

import httpx2
import pytest

from tests.support import (
    USERS,
    UserClient,
    assert_problem,
    sign_up_body,
)

ROOT = "root@example.com"
OTHERS = ["dora@example.com", "bob@example.com", "eve_@example.com", "cecil@example.com"]


async def sign_up(client: httpx2.AsyncClient, email: str) -> None:
    response = await client.post(USERS, json=sign_up_body(email))
    assert response.status_code == 201


@pytest.fixture
async def everybody(client: httpx2.AsyncClient, root: UserClient) -> list[str]:
    """The addresses of all users in order of creation."""
    for email in OTHERS:
        await sign_up(client, email)
    return [ROOT, *OTHERS]


async def get_page(root: UserClient, **query: str | int) -> dict[str, Any]:
    response = await root.get(USERS, params=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def addresses(page: dict[str, Any]) -> list[str]:
    return [user["email"] for user in page["items"]]


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "email", "-email"])
async def test_links_lead_through_all_pages_in_order(
    root: UserClient, everybody: list[str], sort: str
) -> None:
    expected = sorted(everybody) if sort.endswith("email") else everybody
    if sort.startswith("-"):
        expected = expected[::-1]
    url: str | None = f"{USERS}?limit=2&sort={sort}"
    pages = []
    while url is not None:
        response = await root.get(url)
        assert response.status_code == 200
        pages.append(addresses(response.json()))
        link = response.links.get("next")
        url = link["url"] if link else None
        assert (response.json()["next_cursor"] is None) == (url is None)
    assert pages == [expected[0:2], expected[2:4], expected[4:]]


async def test_page_continues_after_its_predecessors_last_row_is_deleted(
    client: httpx2.AsyncClient, root: UserClient, everybody: list[str]
) -> None:
    first = await get_page(root, limit=2)
    await root.delete(f"{USERS}/{first['items'][1]['id']}")
    await sign_up(client, "zoe@example.com")
    second = await get_page(root, cursor=first["next_cursor"])
    assert addresses(second) == [*everybody[2:], "zoe@example.com"]


@pytest.mark.parametrize("sort", ["-created_at", "-email"])
async def test_row_added_before_a_page_repeats_no_other(
    client: httpx2.AsyncClient, root: UserClient, everybody: list[str], sort: str
) -> None:
    first = await get_page(root, limit=2, sort=sort)
    await sign_up(client, "zoe@example.com")  # stands first in both orders
    second = await get_page(root, cursor=first["next_cursor"], sort=sort)
    assert sorted(addresses(first) + addresses(second)) == sorted(everybody)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "BOB@"}, ["bob@example.com"]),
        ({"q": "_"}, ["eve_@example.com"]),
        ({"q": "%"}, []),
        ({"q": "\\"}, []),
        ({"is_active": "false"}, []),
        ({"is_active": "true", "limit": "1"}, [ROOT]),
    ],
)
@pytest.mark.usefixtures("everybody")
async def test_filters_select_users(
    root: UserClient, query: dict[str, str], found: list[str]
) -> None:
    assert addresses(await get_page(root, **query)) == found


@pytest.mark.usefixtures("everybody")
async def test_link_to_the_next_page_keeps_filter_and_order(root: UserClient) -> None:
    first = await root.get(USERS, params={"q": "r", "sort": "email", "limit": 1})
    second = await root.get(first.links["next"]["url"])
    assert addresses(first.json()) == ["dora@example.com"]
    assert addresses(second.json()) == [ROOT]
    assert "next" not in second.links


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "sort=id", "is_active=2"])
async def test_invalid_query_is_rejected(root: UserClient, query: str) -> None:
    problem = assert_problem(await root.get(f"{USERS}?{query}"), 422, "validation-error")
    (error,) = problem["errors"]
    assert (error["in"], error["name"]) == ("query", query.partition("=")[0])
