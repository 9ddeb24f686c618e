"""Settings of mail."""

import pytest

from app.core.config import SettingsError, load_settings

GOOD = {
    "environment": "production",
    "database_url": "postgresql://user:pass@db.example.com/name",
    "secret_key": "kCqz0aHn1UyyUWO6f1S8iQ0vAm2bqkYk5Jx3",
}
MAIL = {
    "smtp_host": "smtp.example.com",
    "email_from": "shop@example.com",
    "frontend_url": "https://shop.example.com",
}


def test_production_accepts_complete_settings() -> None:
    assert load_settings(**GOOD, **MAIL).smtp_host == "smtp.example.com"


@pytest.mark.parametrize("name", MAIL)
def test_production_rejects_missing_setting(name: str) -> None:
    values = {key: value for key, value in MAIL.items() if key != name}
    with pytest.raises(SettingsError, match=f"{name.upper()}: is missing"):
        load_settings(**GOOD, **values)


def test_production_rejects_value_from_example_env() -> None:
    with pytest.raises(
        SettingsError, match="FRONTEND_URL: is missing or still has its default for develop"
    ):
        load_settings(**(GOOD | MAIL | {"frontend_url": "http://localhost:3000"}))


def test_production_needs_no_mail_settings_when_mail_is_off() -> None:
    assert load_settings(**GOOD, email_enabled=False).is_deployed


def test_sender_with_display_name_is_rejected() -> None:
    with pytest.raises(SettingsError, match="EMAIL_FROM: must be an address alone"):
        load_settings(**(GOOD | MAIL | {"email_from": "Shop <shop@example.com>"}))


@pytest.mark.parametrize(
    ("name", "given", "used"),
    [
        ("SMTP_TLS", "STARTTLS", "starttls"),
        ("SMTP_TLS", "ssl", "tls"),
        ("SMTP_HOST", "smtp.example.com\n", "smtp.example.com"),
        ("FRONTEND_URL", "HTTPS://App.example/#/", "https://app.example/#/"),
    ],
)
def test_clear_value_is_accepted(name: str, given: str, used: str) -> None:
    settings = load_settings(**(GOOD | MAIL | {name.lower(): given}))
    assert str(getattr(settings, name.lower())) == used


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("SMTP_HOST", "smtp://hidden.example", "must be a host name or an IP address alone"),
        ("SMTP_PORT", "udp://10.0.0.1:25", "must be a number; Kubernetes sets this one"),
        ("SMTP_TLS", "true", "must be 'none', 'starttls' or 'tls'"),
        ("SMTP_PASSWORD", "'hidden'", "is in quotes, which `docker run --env-file`"),
        ("EMAIL_FROM", "hidden", "value is not a valid email address"),
        ("FRONTEND_URL", "hidden.example", "must start with http:// or https://"),
        ("FRONTEND_URL", "https://x.example?hidden=1", "must not contain a ? part"),
    ],
)
def test_unclear_value_is_one_sentence_without_the_value(
    name: str, given: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**(GOOD | MAIL | {name.lower(): given}))
    assert str(caught.value).splitlines()[1].startswith(f"  {name}: {sentence}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"smtp_username": "me"}, "SMTP_PASSWORD: is missing, although SMTP_USERNAME is set"),
        ({"smtp_password": "x"}, "SMTP_USERNAME: is missing, although SMTP_PASSWORD is set"),
        ({"smtp_port": 465}, "SMTP_TLS: must be tls for port 465"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected(
    given: dict[str, object], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings(**(GOOD | MAIL | given))
