"""The service under a path of a proxy, which strips it or doesn't."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.core.config import Settings
from tests.support import AUTH, PASSWORD, USERS, UserClient

PREFIX = "/svc"
CONFIGURED = pytest.mark.parametrize("settings_values", [{"root_path": PREFIX}])


class Proxy:
    """A proxy and a server in front of the application."""

    def __init__(self, app: FastAPI, *, prefix: str, strips: bool, option: str = "") -> None:
        self._app = app
        self._prefix = prefix
        self._strips = strips
        self._option = option  # the server's --root-path, which uvicorn puts in front of the path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(self._prefix)
        path = scope["path"].removeprefix(self._prefix) if self._strips else scope["path"]
        scope.update(path=self._option + path, root_path=self._option)
        await self._app(scope, receive, send)


async def client_through(proxy: Proxy) -> AsyncIterator[UserClient]:
    transport = httpx2.ASGITransport(app=proxy)
    async with UserClient(transport=transport, base_url="http://test") as client:
        yield client


def token_url_of(document: dict[str, Any]) -> str:
    schemes = document["components"]["securitySchemes"].values()
    (url,) = [each["flows"]["password"]["tokenUrl"] for each in schemes if each["type"] == "oauth2"]
    return str(url)


async def check_docs_page(client: UserClient, prefix: str) -> None:
    page = await client.get(f"{prefix}/docs")
    urls = re.findall(r"(?:(?:src|href)=\"|url: ')([^\"']+)", page.text)
    assert urls
    for url in urls:
        assert (await client.get(urljoin(f"{prefix}/docs", url))).status_code == 200


async def check(client: UserClient, prefix: str) -> None:
    """Use everything that names a path."""
    for method in ("GET", "HEAD"):
        assert (await client.request(method, f"{prefix}/livez")).status_code == 200
    problem = (await client.get(f"{prefix}/nothing")).json()
    assert problem["instance"] == f"{prefix}/nothing"
    body = {"email": "ada@example.com", "password": PASSWORD}
    response = await client.post(f"{prefix}{USERS}", json=body)
    assert response.headers["Location"] == f"{prefix}{USERS}/{response.json()['id']}"
    await check_docs_page(client, prefix)
    where = f"http://test{prefix}/openapi.json"
    document = (await client.get(where)).json()
    server = urljoin(where, document["servers"][0]["url"])
    assert server.rstrip("/") == f"http://test{prefix}"
    token_url = urljoin(where, token_url_of(document))
    assert token_url == f"http://test{prefix}{AUTH}/token"
    form = {"username": body["email"], "password": PASSWORD}
    assert (await client.post(token_url, data=form)).status_code == 200


@CONFIGURED
@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("option", ["", PREFIX])
async def test_everything_works_under_the_prefix(app: FastAPI, strips: bool, option: str) -> None:
    async for client in client_through(Proxy(app, prefix=PREFIX, strips=strips, option=option)):
        await check(client, PREFIX)
        document = (await client.get(f"{PREFIX}/openapi.json")).json()
        assert document["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("strips", [True, False])
async def test_option_of_the_server_is_enough(app: FastAPI, strips: bool) -> None:
    async for client in client_through(Proxy(app, prefix=PREFIX, strips=strips, option=PREFIX)):
        await check(client, PREFIX)


@pytest.mark.parametrize("settings_values", [{"root_path": "/api"}])
@pytest.mark.parametrize("strips", [True, False])
async def test_prefix_may_look_like_the_path_of_a_route(app: FastAPI, strips: bool) -> None:
    async for client in client_through(Proxy(app, prefix="/api", strips=strips)):
        await check(client, "/api")


async def test_without_a_setting_addresses_are_relative(app: FastAPI) -> None:
    async for client in client_through(Proxy(app, prefix=PREFIX, strips=True)):
        await check_docs_page(client, PREFIX)
        where = f"{PREFIX}/openapi.json"
        document = (await client.get(where)).json()
        assert urljoin(where, document["servers"][0]["url"]) == f"{PREFIX}/"
        assert urljoin(where, token_url_of(document)) == f"{PREFIX}{AUTH}/token"


@CONFIGURED
async def test_list_links_to_the_next_page_under_the_prefix(
    app: FastAPI, root: UserClient, ada: UserClient
) -> None:
    async for client in client_through(Proxy(app, prefix=PREFIX, strips=True)):
        headers = {"Authorization": root.headers["Authorization"]}
        response = await client.get(f"{PREFIX}{USERS}?limit=1", headers=headers)
        link = re.fullmatch(r'<(.+)>; rel="next"', response.headers["Link"])
        assert link
        assert link[1].startswith(f"{PREFIX}{USERS}?")
        assert (await client.get(link[1], headers=headers)).status_code == 200


@CONFIGURED
async def test_prefix_is_not_required(client: UserClient) -> None:
    """Orchestrators and load balancers inside the network call the service directly."""
    assert (await client.get("/livez")).status_code == 200
    response = await client.get("/svcother")
    assert response.json()["instance"] == f"{PREFIX}/svcother"
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("", ""),
        ("/", ""),
        ("svc", "/svc"),
        ("/svc/", "/svc"),
        (" /a/b ", "/a/b"),
        ("/~x.y-z", "/~x.y-z"),
    ],
)
def test_root_path_is_normalised(settings: Settings, given: str, used: str) -> None:
    values: dict[str, Any] = settings.model_dump() | {"root_path": given}
    assert type(settings)(**values).root_path == used


@pytest.mark.parametrize("given", ["https://example.com/svc", "/a b", "/a?b", "/{x}"])
def test_root_path_without_meaning_is_rejected(settings: Settings, given: str) -> None:
    with pytest.raises(ValueError, match="must be a path without a host"):
        type(settings)(**(settings.model_dump() | {"root_path": given}))
