"""Variables of the caller's shell, and files around the checkout, don't change the result."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import dev
from tests.setup.toybox import Service


@pytest.mark.usefixtures("installer")
def test_settings_of_others_change_nothing(service: Service, tmp_path: Path) -> None:
    for name, text in {
        "pyproject.toml": "[tool.uv.workspace]\nmembers = ['*']\n[tool.uv]\nno-index = true\n",
        "uv.toml": "required-version = '==0.0.1'\n",
        "pip.conf": "[install]\nuser = true\n",
    }.items():
        (tmp_path / name).write_text(text)
    del service.env["UV_NO_CONFIG"]
    elsewhere = str(tmp_path / "elsewhere")
    foreign = {
        "VIRTUAL_ENV": elsewhere,
        "PYTHONPATH": elsewhere,
        # Another home would end the script before its first line.
        "PYTHONHOME": sys.base_prefix,
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "error",
        "PIP_TARGET": elsewhere,
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_DRY_RUN": "1",
        "UV_PROJECT_ENVIRONMENT": elsewhere,
        "UV_PYTHON": "3.1",
        "UV_SYSTEM_PYTHON": "1",
        "UVICORN_PORT": "1",
        "DATABASE_URL": "postgresql://other:project@db/x",
    }

    result = service.set_up(
        **foreign,
        PIP_USER="1",
        PIP_CONFIG_FILE=str(tmp_path / "pip.conf"),
        TOY_FOREIGN=" ".join(foreign),
    )

    assert result.returncode == 0, result.stdout
    service.check_complete()
    assert not Path(elsewhere).exists()


def test_variables_that_override_the_env_file_are_named(service: Service) -> None:
    result = service.set_up(DATABASE_URL="sqlite:///other.db", secret_key="too short")

    name = "SECRET_KEY" if os.name == "nt" else "secret_key"  # Windows has uppercase ones only
    assert f"Your shell sets DATABASE_URL, {name};" in result.stdout
    assert "too short" not in result.stdout


def test_only_harmless_variables_reach_the_tools(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [
        *("PATH", "HTTPS_PROXY", "SSL_CERT_FILE", "PGHOST"),
        *("PIP_INDEX_URL", "PIP_CERT", "PIP_NO_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_TRUSTED_HOST"),
        *("UV_DEFAULT_INDEX", "UV_INDEX_COMPANY_PASSWORD", "UV_CACHE_DIR", "UV_HTTP_TIMEOUT"),
        *("UV_EXCLUDE_NEWER", "UV_LINK_MODE", "UV_OFFLINE", "UV_CREDENTIALS_DIR"),
    ]
    dropped = [
        *("VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "FORCE_COLOR", "ALEMBIC_CONFIG", "UVICORN_HOST"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"),
        *("PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "UV_PROJECT", "UV_PYTHON"),
        *("SECRET_KEY", "database_url"),
    ]
    for name in [*kept, *dropped]:
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv("UV_SYSTEM_CERTS", raising=False)

    environment = service.load_script().clean_environment()

    assert {name: environment.get(name) for name in kept} == dict.fromkeys(kept, "x")
    assert not set(dropped) & set(environment)
    assert environment["UV_SYSTEM_CERTS"] == "1"


def test_proxy_is_not_asked_for_the_service(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert service.load_script().get(f"{service.index.address}alembic/") == "200"


def test_dev_py_keeps_the_same_variables_of_installers(service: Service) -> None:
    kept = service.load_script().INSTALLER_VARIABLES
    assert kept.pattern == dev.INSTALLER_VARIABLES.pattern
