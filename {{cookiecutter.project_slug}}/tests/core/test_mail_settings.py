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
