"""Settings: which values are accepted, and how errors are reported."""

from pathlib import Path

import pytest

from app.core.config import ROOT, Settings, SettingsError, get_settings, load_settings

GOOD = {
    "environment": "production",
    "database_url": "postgresql://user:pass@db.example.com/name",
    "secret_key": "kCqz0aHn1UyyUWO6f1S8iQ0vAm2bqkYk5Jx3",
    "email_enabled": "false",
}


@pytest.mark.parametrize("name", ["production", "Production", "prod", "STAGING", "stage"])
def test_deployed_service_accepts_complete_settings(name: str) -> None:
    assert load_settings(**(GOOD | {"environment": name})).is_deployed


def test_environment_is_production_by_default() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL: is missing"):
        load_settings(secret_key=GOOD["secret_key"])


@pytest.mark.parametrize("environment", ["test", "staging", "production"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short-Xq7"),
        ("SECRET_KEY", "a" * 64),
        ("SECRET_KEY", "change-me-in-production-0123456789-abcdef"),
        ("SECRET_KEY_FALLBACKS", "short-Xq7"),
        ("FIRST_SUPERUSER_PASSWORD", "Xq7"),
        ("FIRST_SUPERUSER_PASSWORD", "Password1234567"),
    ],
)
def test_weak_secret_is_rejected_outside_development(
    environment: str, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**(GOOD | {"environment": environment, name.lower(): value}))
    assert f"  {name}: is " in str(caught.value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL"])
def test_production_rejects_missing_setting(name: str) -> None:
    values = {key: value for key, value in GOOD.items() if key != name.lower()}
    with pytest.raises(SettingsError, match=f"{name}: is missing"):
        load_settings(**values)


def test_error_names_every_wrong_setting_but_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "testing-hidden")
    monkeypatch.setenv("PORT", "hidden")
    monkeypatch.setenv("SECRET_KEY", "")
    monkeypatch.setenv("CORS_ORIGINS", "*")
    monkeypatch.setenv("DATABASE_URL", "mysql://hidden")
    monkeypatch.setenv("TRUSTED_PROXIES", "hidden")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    names = ["ENVIRONMENT", "PORT", "SECRET_KEY", "CORS_ORIGINS", "DATABASE_URL"]
    for name in [*names, "TRUSTED_PROXIES"]:
        assert f"  {name}: " in message
    assert "hidden" not in message


def test_address_with_display_name_is_rejected() -> None:
    with pytest.raises(SettingsError, match="must be an address alone, without a name"):
        load_settings(**(GOOD | {"first_superuser_email": "Shop <shop@example.com>"}))


def test_development_needs_no_database_url_and_no_strong_secret() -> None:
    settings = load_settings(environment="development", secret_key="short")
    assert settings.database_url is None
    assert not settings.is_deployed


@pytest.mark.parametrize(
    ("environment", "given", "used"),
    [
        ("production", "", "json"),
        ("staging", "", "json"),
        ("test", "", "console"),
        ("production", "console", "console"),
        ("test", "json", "json"),
    ],
)
def test_log_lines_are_json_when_deployed(environment: str, given: str, used: str) -> None:
    settings = load_settings(**(GOOD | {"environment": environment, "log_format": given}))
    assert settings.log_line_format == used


def test_database_url_is_normalized() -> None:
    """tests/core/test_database_url.py has all forms."""
    url = load_settings(**(GOOD | {"database_url": "postgres://u:p@h/n\n"})).database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql+psycopg://u:p@h/n"


def test_list_is_read_from_comma_separated_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.com, http://localhost:3000")
    settings = load_settings(**GOOD)
    assert settings.cors_origins == ["https://a.example.com", "http://localhost:3000"]


def test_env_file_is_read_once_and_empty_values_mean_the_default(tmp_path: Path) -> None:
    lines = [f'{name.upper()}="{value}"' for name, value in GOOD.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "UNKNOWN=x", "LOG_LEVEL="]))
    get_settings.cache_clear()
    settings = get_settings()
    assert settings.environment == "production"
    assert settings.log_level == "INFO"
    assert get_settings() is settings
    get_settings.cache_clear()


def test_example_env_names_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "example.env").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = [line.partition("=")[0] for line in lines]
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)

    (tmp_path / ".env").write_text(text)
    example = load_settings(secret_key="x").model_dump()
    default = load_settings(_env_file=None, environment="development", secret_key="x").model_dump()
    different = {name for name in example if example[name] != default[name]}
    assert different == {"first_superuser_email"}


def test_example_env_means_the_same_when_its_quotes_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker run --env-file` passes on everything after the `=`."""
    text = (ROOT / "example.env").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(text)
    from_file = load_settings(secret_key="x")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    assert load_settings(_env_file=None, secret_key="x") == from_file
