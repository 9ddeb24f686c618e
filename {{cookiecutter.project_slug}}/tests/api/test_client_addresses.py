"""Client addresses: X-Forwarded-For counts only if a trusted proxy has sent it."""

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.db.session import Database
from app.models.user_session import UserSession
from tests.support import UserClient, client_of


async def seen_address(
    app: FastAPI, database: Database, user: UserClient, peer: str, forwarded: str
) -> str | None:
    """Sign in from *peer* with X-Forwarded-For, and return the address that the service noted."""
    async with client_of(app, peer) as client:
        client.user = user.user
        client.headers["X-Forwarded-For"] = forwarded
        await client.sign_in()
    async with database.session() as reader:
        newest = select(UserSession.ip_address).order_by(UserSession.id.desc()).limit(1)
        return (await reader.scalars(newest)).one()


@pytest.mark.parametrize("settings_values", [{"trusted_proxies": "203.0.113.0/24, 127.0.0.1"}])
@pytest.mark.parametrize("proxy", ["203.0.113.7", "127.0.0.1"])
@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("198.51.100.1", "198.51.100.1"),
        # The rightmost address that isn't a trusted proxy; clients can make up those before it.
        ("6.6.6.6, 198.51.100.2, 203.0.113.9", "198.51.100.2"),
        ("garbage" * 20, None),
    ],
)
async def test_forwarded_address_of_a_trusted_proxy_is_used(
    app: FastAPI,
    database: Database,
    ada: UserClient,
    proxy: str,
    forwarded: str,
    seen: str | None,
) -> None:
    assert await seen_address(app, database, ada, proxy, forwarded) == seen


@pytest.mark.parametrize("settings_values", [{}, {"trusted_proxies": "127.0.0.1"}])
async def test_forwarded_address_of_another_peer_is_ignored(
    app: FastAPI, database: Database, ada: UserClient
) -> None:
    assert await seen_address(app, database, ada, "198.51.100.7", "198.51.100.8") == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "seen"), [("fe80::1%eth0", "fe80::1"), ("::ffff:198.51.100.7", "198.51.100.7")]
)
async def test_ipv6_address_is_noted_in_its_shortest_form(
    app: FastAPI, database: Database, ada: UserClient, peer: str, seen: str
) -> None:
    assert await seen_address(app, database, ada, peer, "") == seen
