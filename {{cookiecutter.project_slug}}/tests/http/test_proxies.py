"""The client's address behind proxies, one of which may be on a Unix socket."""

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings


async def seen_address(app: FastAPI, peer: tuple[str, int] | None, forwarded: str) -> str | None:
    """Return the client's address as a route sees it."""

    @app.get("/address", include_in_schema=False)
    async def address(request: Request) -> str | None:
        return request.client.host if request.client else None

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = peer
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(app=server)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/address", headers={"X-Forwarded-For": forwarded})
    found: str | None = response.json()
    return found


@pytest.mark.parametrize("settings_values", [{"trusted_proxies": "unix"}])
@pytest.mark.parametrize("peer", [None, ("", 0)])
@pytest.mark.parametrize("forwarded", ["192.0.2.1", "192.0.2.1, unix:", "10.9.9.9, 192.0.2.1"])
async def test_peer_without_an_address_can_be_trusted(
    app: FastAPI, peer: tuple[str, int] | None, forwarded: str
) -> None:
    assert await seen_address(app, peer, forwarded) == "192.0.2.1"


@pytest.mark.parametrize("settings_values", [{"trusted_proxies": "unix"}])
async def test_other_peers_are_not_trusted_with_it(app: FastAPI) -> None:
    assert await seen_address(app, ("192.0.2.9", 1), "192.0.2.1") == "192.0.2.9"


@pytest.mark.parametrize("settings_values", [{"trusted_proxies": "192.0.2.9"}])
async def test_peer_without_an_address_is_not_trusted_by_default(app: FastAPI) -> None:
    assert await seen_address(app, None, "192.0.2.1") == "unix"
    assert await seen_address(app, ("192.0.2.9", 1), "192.0.2.1") == "192.0.2.1"


def test_networks_are_normalised(settings: Settings) -> None:
    values = settings.model_dump() | {"trusted_proxies": "10.1.2.3/8, 192.0.2.1, ::1, unix"}
    networks = ["10.0.0.0/8", "192.0.2.1/32", "::1/128", "unix"]
    assert type(settings)(**values).trusted_proxies == networks


@pytest.mark.parametrize("given", ["proxy.example.com", "10.0.0.0/33", "*"])
def test_other_proxies_are_rejected(settings: Settings, given: str) -> None:
    with pytest.raises(ValueError, match="must list addresses or networks"):
        type(settings)(**(settings.model_dump() | {"trusted_proxies": given}))


async def test_lifespan_passes_through(app: FastAPI) -> None:
    """Only a server sends it, so no other test in this process does."""
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": "lifespan.shutdown" if sent else "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope: Scope = {"type": "lifespan", "state": {}, "asgi": {"version": "3.0"}}
    await app(scope, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
