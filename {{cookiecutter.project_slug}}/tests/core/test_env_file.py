"""Mistakes in `.env`."""

from pathlib import Path

import pytest

from app.core.config import (
    SettingsError,
    check_env_file,
    load_settings,
    warn_of_env_file,
)

GOOD = "ENVIRONMENT=development\nSECRET_KEY=x\n"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """The `.env` that the settings are read from (conftest.py)."""
    return tmp_path / ".env"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# DATABSE_URL=x",
        "export LOG_LEVEL=info",
        "POSTGRES_PASSWORD=x",
        "COMPOSE_PROJECT_NAME=x",
        "FIRST_SUPERUSER_PASSWORD=$ecret",
    ],
)
def test_good_file_has_no_mistakes(env_file: Path, line: str) -> None:
    env_file.write_text(f"\ufeff{GOOD}{line}\r\n", encoding="utf-8")
    assert load_settings().environment == "development"
    assert check_env_file() == []


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("DATABSE_URL=x", "DATABSE_URL is not a setting; did you mean DATABASE_URL?"),
        ("export cors_origin=x", "CORS_ORIGIN is not a setting; did you mean CORS_ORIGINS?"),
        ("SECRET_KEY=y", "sets SECRET_KEY again; the last value counts"),
        ("FIRST_SUPERUSER_PASSWORD='me", "is not NAME=value, or a quote isn't closed"),
        ("what is this", "is not NAME=value, or a quote isn't closed"),
        ("DATABASE_URL=${X}", "DATABASE_URL refers to another variable, whose value is inserted"),
    ],
)
def test_mistake_is_found(env_file: Path, line: str, mistake: str) -> None:
    env_file.write_text(GOOD + line, encoding="utf-8")
    assert check_env_file() == [f".env, line 3: {mistake}"]


def test_mistake_is_a_warning_at_start(env_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    env_file.write_text(GOOD + "DATABSE_URL=x", encoding="utf-8")
    warn_of_env_file()
    (record,) = caplog.records
    assert "did you mean DATABASE_URL?" in record.getMessage()


def test_mistake_is_reported_with_the_setting_that_it_leaves_out(env_file: Path) -> None:
    env_file.write_text("ENVIRONMENT=development\nSECRT_KEY=hidden\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).splitlines()[1:3] == [
        "  SECRET_KEY: is missing or empty",
        "  .env, line 2: SECRT_KEY is not a setting; did you mean SECRET_KEY?",
    ]
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encoding_is_reported(env_file: Path, encoding: str) -> None:
    env_file.write_bytes(f"{GOOD}FIRST_SUPERUSER_PASSWORD=Zoë\n".encode(encoding))
    with pytest.raises(SettingsError, match=r"\.env: is not in UTF-8"):
        load_settings()


def test_folder_is_reported(env_file: Path) -> None:
    env_file.mkdir()
    with pytest.raises(SettingsError, match=r"\.env: is a folder"):
        load_settings()


def test_unreadable_file_is_reported(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text(GOOD)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # An administrator can read every file, so its mode is not enough.
    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(SettingsError, match=r"\.env: can't be read \(Permission denied\)"):
        load_settings()
