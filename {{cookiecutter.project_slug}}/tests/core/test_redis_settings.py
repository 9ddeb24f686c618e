"""The address of the store that counts attempts."""

import pytest

from app.core.config import SettingsError, load_settings


def load(redis_url: str) -> str:
    settings = load_settings(environment="development", secret_key="x", redis_url=redis_url)
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("REDIS://cache:6379/0\n", "redis://cache:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ("rediss://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=none"),
        ("valkeys://me:p%25@h", "valkeys://me:p%25@h"),
    ],
)
def test_clear_address_is_accepted(given: str, used: str) -> None:
    assert load(given) == used


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("hidden:6379", "must start with redis://, rediss://, valkey://"),
        ("redis://:hidden@cache:port/0", "is not a valid address"),
        ("redis://:hidden@cache/0?socket_timeout=x", "is not a valid address"),
        ("redis://:hidden@cache/0?foo=bar", "has an unknown option after the ?"),
        ("redis://:hidden@cache/0?ssl_cert_reqs=none", "has an unknown option after the ?"),
        ("'redis://hidden'", "is in quotes"),
    ],
)
def test_unclear_address_is_one_sentence_without_the_password(given: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(given)
    assert str(caught.value).splitlines()[1].startswith(f"  REDIS_URL: {sentence}")
    assert "hidden" not in str(caught.value)
