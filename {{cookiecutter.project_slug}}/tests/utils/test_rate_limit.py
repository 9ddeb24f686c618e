"""Rate limits, counted in memory."""

import asyncio
from typing import Any

import pytest
from limits import parse

from app.core.config import Settings
from app.core.exceptions import TooManyAttemptsError
from app.utils.rate_limit import Limit, RateLimits
from tests.support import TestSettings

TWICE = Limit("test", parse("2 per minute"))


def settings(**values: Any) -> Settings:
    key = "a key for tests that signs nothing else"
    return TestSettings(**{"environment": "test", "secret_key": key, **values})


@pytest.fixture
def limits() -> RateLimits:
    return RateLimits(settings())


async def test_attempt_over_the_limit_is_rejected(limits: RateLimits) -> None:
    for _ in range(2):
        await limits.hit(TWICE, "ada")
    with pytest.raises(TooManyAttemptsError) as caught:
        await limits.hit(TWICE, "ada")
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60
    assert not await limits.allows(TWICE, "ada")


async def test_subjects_and_limits_are_counted_separately(limits: RateLimits) -> None:
    for _ in range(2):
        await limits.hit(TWICE, "ada")
    await limits.hit(TWICE, "bob")
    await limits.hit(Limit("other", TWICE.rate), "ada")
    assert not await limits.allows(TWICE, "ada")


async def test_cleared_attempts_are_forgotten(limits: RateLimits) -> None:
    for _ in range(5):
        await limits.hit(TWICE, "ada")
        await limits.clear(TWICE, "ada")


async def test_concurrent_attempts_are_all_counted(limits: RateLimits) -> None:
    allowed = await asyncio.gather(*(limits.allows(TWICE, "ada") for _ in range(20)))
    assert allowed.count(True) == 2


async def test_disabled_limits_reject_nothing() -> None:
    limits = RateLimits(settings(rate_limit_enabled=False))
    for _ in range(5):
        await limits.hit(TWICE, "ada")
    await limits.clear(TWICE, "ada")
