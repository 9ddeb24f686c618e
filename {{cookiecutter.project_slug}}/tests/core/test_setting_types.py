"""Values of settings: each clear spelling is accepted, anything else is rejected in a sentence."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.config import Settings, SettingsError, load_settings

KEY = "kCqz0aHn1UyyUWO6f1S8iQ0vAm2bqkYk5Jx3"


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in {"SECRET_KEY": KEY, "ENVIRONMENT": "development", **variables}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def plain(value: Any) -> Any:
    """Return a value as people write it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return [str(item) for item in value] if isinstance(value, list) else value


ORIGINS = ["https://a.example", "http://b.example:8080"]
NETWORKS = ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("name", "given", "used"),
    [
        ("ENVIRONMENT", "Development", "development"),
        ("ENVIRONMENT", "test\n", "test"),
        ("ENVIRONMENT", "dev", "development"),
        ("LOG_LEVEL", "info", "INFO"),
        ("LOG_LEVEL", "warn", "WARNING"),
        ("LOG_FORMAT", "JSON", "json"),
        ("SMTP_TLS", "STARTTLS", "starttls"),
        ("SMTP_TLS", "ssl", "tls"),
        ("DOCS_ENABLED", "No", False),
        ("DOCS_ENABLED", " 0\t", False),
        ("PORT", " 8080\n", 8080),
        ("PORT", "8_080", 8080),
        ("BODY_TIMEOUT", "2.5", 2.5),
        ("HOST", "[::1]", "::1"),
        ("HOST", "localhost", "localhost"),
        ("CORS_ORIGINS", "https://a.example,http://b.example:8080", ORIGINS),
        ("CORS_ORIGINS", "https://a.example http://b.example:8080", ORIGINS),
        ("CORS_ORIGINS", json.dumps(ORIGINS), ORIGINS),
        ("CORS_ORIGINS", "https://A.Example:443/, HTTP://b.example:8080/", ORIGINS),
        ("CORS_ORIGINS", "https://münchen.example", ["https://xn--mnchen-3ya.example"]),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", NETWORKS),
        ("TRUSTED_PROXIES", "10.1.2.3/8 [::1]", NETWORKS),
        ("TRUSTED_PROXIES", "[::1]", ["::1/128"]),
        ("TRUSTED_PROXIES", json.dumps(NETWORKS), NETWORKS),
        ("REDIS_URL", "REDIS://cache:6379/0\n", "redis://cache:6379/0"),
        ("REDIS_URL", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("REDIS_URL", "rediss://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=none"),
        ("SECRET_KEY", f"{KEY}\n", KEY),
        ("SMTP_HOST", " \n", None),
    ],
)
def test_clear_value_is_accepted(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, used: object
) -> None:
    settings = load(monkeypatch, **{name: given})
    assert plain(getattr(settings, name.lower())) == used


ORIGIN = "such as https://app.example.com"


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("ENVIRONMENT", "live", "must be 'development', 'test', 'staging' or 'production'"),
        ("LOG_LEVEL", "loud", "must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ("SMTP_TLS", "true", "must be 'none', 'starttls' or 'tls'"),
        ("DOCS_ENABLED", "perhaps", "must be true or false"),
        ("PORT", "8000x", "must be a whole number, without a unit"),
        ("PORT", "65536", "must be less than or equal to 65535"),
        ("PORT", "tcp://10.0.0.1:80", "must be a number; Kubernetes sets this one for a service"),
        ("SMTP_PORT", "udp://10.0.0.1:25", "must be a number; Kubernetes sets this one"),
        ("BODY_TIMEOUT", "5s", "must be a number, without a unit"),
        ("BODY_TIMEOUT", "inf", "must be a finite number"),
        ("SESSION_DAYS", "99999999999", "must be less than or equal to 3650"),
        ("HOST", "0.0.0.0:8000", "must be a host name or an IP address alone"),
        ("SMTP_HOST", "smtp://mail.example", "must be a host name or an IP address alone"),
        ("CORS_ORIGINS", "*", f"must be a whole origin {ORIGIN}, without *"),
        ("CORS_ORIGINS", "https://*.hidden.example", f"must be a whole origin {ORIGIN}"),
        ("CORS_ORIGINS", "hidden.example", "must start with http:// or https://"),
        ("CORS_ORIGINS", "https://a.example, null", "item 2 must start with http:// or https://"),
        ("CORS_ORIGINS", "https://hidden.example/app", f"must be an origin {ORIGIN}, without"),
        ("CORS_ORIGINS", "https://hidden:x@a.example", "must not contain a user name or password"),
        ("CORS_ORIGINS", "https://", "is not a valid web address"),
        ("TRUSTED_PROXIES", "*", "must be an IP address or a network such as 10.0.0.0/8"),
        ("TRUSTED_PROXIES", "10.0.0.1:80", "must be an IP address or a network such as"),
        ("TRUSTED_PROXIES", "::1, hidden", "item 2 must be an IP address or a network"),
        ("REDIS_URL", "hidden:6379", "must start with redis://, rediss://, valkey://"),
        ("REDIS_URL", "redis://:hidden@cache:port/0", "is not a valid address"),
        ("REDIS_URL", "redis://:hidden@cache/0?foo=bar", "has an unknown option after the ?"),
        ("FRONTEND_URL", "hidden.example", "must start with http:// or https://"),
        ("FRONTEND_URL", "https://x.example?hidden=1", "must not contain a ? part"),
        ("EMAIL_FROM", "hidden", "value is not a valid email address"),
        ("SECRET_KEY", '"hidden"', "is in quotes, which `docker run --env-file`"),
        ("SMTP_PASSWORD", "'hidden'", "is in quotes, which `docker run --env-file`"),
        ("SECRET_KEY", "hidden\udce9", "is not valid UTF-8"),
    ],
)
def test_unclear_value_is_one_sentence_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: given})
    problems = str(caught.value).splitlines()[1:-2]
    assert len(problems) == 1
    assert problems[0].startswith(f"  {name}: {sentence}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"SMTP_USERNAME": "me"}, "SMTP_PASSWORD: is missing, although SMTP_USERNAME is set"),
        ({"SMTP_PASSWORD": "x"}, "SMTP_USERNAME: is missing, although SMTP_PASSWORD is set"),
        ({"SMTP_PORT": "465"}, "SMTP_TLS: must be tls for port 465"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(monkeypatch, **given)


def test_hash_router_of_a_front_end_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, FRONTEND_URL="HTTPS://App.example/#/")
    assert str(settings.frontend_url) == "https://app.example/#/"
