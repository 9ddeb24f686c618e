"""Differences of staging and production: documents, HSTS and the names of hosts."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from starlette.types import Message

from tests.support import USERS, assert_problem

DEPLOYED = {
    "environment": "production",
    "secret_key": "XhCqrL4z0TnB2vW8sKpE6yUaJd9mGf3i",
    "email_enabled": False,
}
HSTS = "Strict-Transport-Security"


def deployed(**values: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings_values", [DEPLOYED | values])


@deployed()
async def test_documents_are_off_when_deployed(client: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json"):
        assert_problem(await client.get(path), 404, "not-found")


@deployed(docs_enabled=True)
async def test_documents_can_be_turned_on_when_deployed(client: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json"):
        assert (await client.get(path)).status_code == 200


@deployed()
async def test_browsers_stay_on_https_once_deployed(client: httpx2.AsyncClient) -> None:
    for path in ("/livez", USERS, "/nothing"):
        response = await client.get(f"https://test{path}")
        assert response.headers.get_list(HSTS) == ["max-age=31536000"]
        # RFC 6797 section 7.2: never over plain HTTP.
        assert HSTS not in (await client.get(path)).headers


@deployed(trusted_proxies="127.0.0.1")
async def test_https_of_a_trusted_proxy_counts(client: httpx2.AsyncClient) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    assert HSTS in (await client.get("/livez", headers=headers)).headers


@deployed()
async def test_https_of_a_stranger_does_not_count(client: httpx2.AsyncClient) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    assert HSTS not in (await client.get("/livez", headers=headers)).headers


async def test_development_and_tests_send_no_hsts(client: httpx2.AsyncClient) -> None:
    assert HSTS not in (await client.get("https://test/livez")).headers


HOSTS = pytest.mark.parametrize(
    "settings_values", [{"allowed_hosts": "api.example.com, *.example.org"}]
)


@HOSTS
@pytest.mark.parametrize(
    "host", ["api.example.com", "API.example.com:8443", "a.example.org", "a.b.example.org"]
)
async def test_allowed_host_is_answered(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/openapi.json", headers={"Host": host})).status_code == 200


@HOSTS
@pytest.mark.parametrize(
    "host",
    ["example.com", "example.org", "x.api.example.com", "api.example.com.evil.test", "127.0.0.1"],
)
async def test_other_host_is_rejected(client: httpx2.AsyncClient, host: str) -> None:
    response = await client.get("/openapi.json", headers={"Host": host})
    assert_problem(response, 400, "bad-request")


@HOSTS
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probe_is_answered_under_any_host(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Host": "10.0.0.7:8000"})).status_code == 200


async def test_any_host_is_answered_by_default(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/openapi.json", headers={"Host": "10.0.0.7"})).status_code == 200


@HOSTS
@pytest.mark.parametrize(
    ("host", "kind"),
    [(b"api.example.com", "websocket.accept"), (b"evil.test", "websocket.http.response.start")],
)
async def test_websocket_needs_an_allowed_host_too(app: FastAPI, host: bytes, kind: str) -> None:
    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/echo",
        "query_string": b"",
        "headers": [(b"host", host)],
    }
    await app(scope, receive, send)
    assert sent[0]["type"] == kind
