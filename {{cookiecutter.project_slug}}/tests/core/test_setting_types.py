"""Values of settings: each clear spelling is accepted, anything else is rejected in a sentence."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.config import Settings, SettingsError, load_settings

KEY = "kCqz0aHn1UyyUWO6f1S8iQ0vAm2bqkYk5Jx3"


def load(**variables: str) -> Settings:
    """Load the settings of a development service with these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SECRET_KEY": KEY, "ENVIRONMENT": "development", **variables}.items():
            patch.setenv(name, value)
        return load_settings()


def plain(value: Any) -> Any:
    """Return a value as people write it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return [str(plain(item)) for item in value] if isinstance(value, list) else value


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
        ("ALLOWED_HOSTS", "API.example.com, *.example.org", ["api.example.com", "*.example.org"]),
        ("ALLOWED_HOSTS", "10.0.0.1 ::1 [::1]", ["10.0.0.1", "[::1]", "[::1]"]),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", NETWORKS),
        ("TRUSTED_PROXIES", "10.1.2.3/8 [::1]", NETWORKS),
        ("TRUSTED_PROXIES", "[::1]", ["::1/128"]),
        ("TRUSTED_PROXIES", "::1 Unix", ["::1/128", "unix"]),
        ("TRUSTED_PROXIES", json.dumps(NETWORKS), NETWORKS),
        ("SECRET_KEY", f"{KEY}\n", KEY),
        ("SECRET_KEY_FALLBACKS", f"{KEY},{KEY[::-1]}\n", [KEY, KEY[::-1]]),
        ("SECRET_KEY_FALLBACKS", json.dumps([f"{KEY}, x"]), [f"{KEY}, x"]),
        ("DATABASE_URL", " \n", None),
    ],
)
def test_clear_value_is_accepted(name: str, given: str, used: object) -> None:
    settings = load(**{name: given})
    assert plain(getattr(settings, name.lower())) == used


PROXY = "must list addresses or networks, such as 10.0.0.0/8, or unix"
HOSTS = "must list host names without :// or a port"
ORIGIN = "such as https://app.example.com"


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("ENVIRONMENT", "live", "must be 'development', 'test', 'staging' or 'production'"),
        ("LOG_LEVEL", "loud", "must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ("DOCS_ENABLED", "perhaps", "must be true or false"),
        ("PORT", "8000x", "must be a whole number, without a unit"),
        ("PORT", "65536", "must be less than or equal to 65535"),
        ("PORT", "tcp://10.0.0.1:80", "must be a number; Kubernetes sets this one for a service"),
        ("BODY_TIMEOUT", "5s", "must be a number, without a unit"),
        ("BODY_TIMEOUT", "inf", "must be a finite number"),
        ("SESSION_DAYS", "99999999999", "must be less than or equal to 3650"),
        ("HOST", "0.0.0.0:8000", "must be a host name or an IP address alone"),
        ("CORS_ORIGINS", "*", f"must be a whole origin {ORIGIN}, without *"),
        ("CORS_ORIGINS", "https://*.hidden.example", f"must be a whole origin {ORIGIN}"),
        ("CORS_ORIGINS", "hidden.example", "must start with http:// or https://"),
        ("CORS_ORIGINS", "https://a.example, null", "item 2 must start with http:// or https://"),
        ("CORS_ORIGINS", "https://hidden.example/app", f"must be an origin {ORIGIN}, without"),
        ("CORS_ORIGINS", "https://hidden:x@a.example", "must not contain a user name or password"),
        ("CORS_ORIGINS", "https://", "is not a valid web address"),
        ("ALLOWED_HOSTS", "https://hidden.example", HOSTS),
        ("ALLOWED_HOSTS", "hidden.example:8000", HOSTS),
        ("ALLOWED_HOSTS", "a.example, *hidden.example", f"item 2 {HOSTS}"),
        ("ALLOWED_HOSTS", "*", HOSTS),
        ("TRUSTED_PROXIES", "*", PROXY),
        ("TRUSTED_PROXIES", "10.0.0.1:80", PROXY),
        ("TRUSTED_PROXIES", "::1, hidden", f"item 2 {PROXY}"),
        ("SECRET_KEY", '"hidden"', "is in quotes, which `docker run --env-file`"),
        ("SECRET_KEY", "hidden\udce9", "is not valid UTF-8"),
    ],
)
def test_unclear_value_is_one_sentence_without_the_value(
    name: str, given: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: given})
    problems = str(caught.value).splitlines()[1:-2]
    assert len(problems) == 1
    assert problems[0].startswith(f"  {name}: {sentence}")
    assert "hidden" not in str(caught.value)
