"""Settings, read from the environment and from `.env`. No other module reads either."""

import re
from enum import StrEnum
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.limits import POOL_TIMEOUT_SECONDS
from app.core.validation import describe_error

PROJECT_SLUG = "{{ cookiecutter.project_slug }}"
PROJECT_NAME = "{{ cookiecutter.__project_name }}"  # fmt: skip
PROJECT_DESCRIPTION = "{{ cookiecutter.__project_description }}"  # fmt: skip
PROJECT_AUTHOR = "{{ cookiecutter.__author_name }}"  # fmt: skip
PROJECT_VERSION = "0.1.0"

ROOT = Path(__file__).resolve().parents[2]
# The database and the mails that the service writes in development. Ignored by git.
VAR = ROOT / "var"

MIN_SECRET_LENGTH = 32
# Words in the placeholders that documentation and other templates use for secrets.
_PLACEHOLDERS = ("change", "secret", "example", "default", "placeholder", "password", "insecure")


# The schemes that hosting providers use, and the driver that the service uses for each.
_ASYNC_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class SettingsError(SystemExit):
    """Ends the process with a message instead of a traceback."""


def _with_async_driver(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    if not separator or scheme not in _ASYNC_DRIVERS:
        raise ValueError("must start with postgresql:// or sqlite:///")
    if scheme.startswith("postgres"):
        rest = _with_options_of_asyncpg(rest)
    return SecretStr(f"{_ASYNC_DRIVERS[scheme]}://{rest}")


def _with_options_of_asyncpg(address: str) -> str:
    """Rename libpq's options to asyncpg's, and drop those that asyncpg doesn't have."""
    address, _, query = address.partition("?")
    options = dict(parse_qsl(query))
    options.pop("channel_binding", None)
    if sslmode := options.pop("sslmode", None):
        options["ssl"] = sslmode
    return f"{address}?{urlencode(options)}" if options else address


def _validate_redis_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "valkey://", "valkeys://")):
        raise ValueError("must start with redis://, rediss://, valkey:// or valkeys://")
    return url


def _bare_address(address: Any) -> Any:
    # EmailStr accepts `Shop <shop@example.com>` too, and would drop the name.
    if "<" in str(address):
        raise ValueError("must be an address alone, without a name")
    return address


def _validate_proxy(proxy: str) -> str:
    try:
        return proxy if proxy == "unix" else str(ip_network(proxy, strict=False))
    except ValueError:
        raise ValueError("must list addresses or networks, such as 10.0.0.0/8, or unix") from None


def _validate_root_path(path: str) -> str:
    path = path.strip().strip("/")
    if path and not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*", path):
        raise ValueError("must be a path without a host, such as /service")
    return f"/{path}" if path else ""


DatabaseURL = Annotated[SecretStr, AfterValidator(_with_async_driver)]
RedisURL = Annotated[SecretStr, AfterValidator(_validate_redis_url)]
Address = Annotated[EmailStr, BeforeValidator(_bare_address)]

Proxy = Annotated[str, AfterValidator(_validate_proxy)]
RootPath = Annotated[str, AfterValidator(_validate_root_path)]
Origin = Annotated[str, Field(pattern=r"^https?://[^/\s*]+$")]


class Settings(BaseSettings):
    """Each field is an environment variable of the same name in upper case. See example.env."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",  # the environment holds variables of other programs
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    # Production by default: a forgotten variable must not enable what only development allows.
    environment: Environment = Environment.PRODUCTION

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    web_concurrency: int = Field(default=1, ge=1)

    database_url: DatabaseURL | None = None
    database_pool_size: int = Field(default=15, ge=1)
    database_pool_timeout: float = Field(default=POOL_TIMEOUT_SECONDS, gt=0)
    database_statement_timeout: float = Field(default=10, gt=0)

    secret_key: SecretStr
    allow_signup: bool = True
    password_min_length: int = Field(default=12, ge=1, le=128)
    password_reject_common: bool = True
    access_token_minutes: int = Field(default=15, ge=1)
    refresh_token_days: int = Field(default=30, ge=1)
    session_days: int = Field(default=90, ge=1)
    first_superuser_email: Address | None = None
    first_superuser_password: SecretStr | None = None

    rate_limit_enabled: bool = True
    redis_url: RedisURL | None = None
    trusted_proxies: Annotated[list[Proxy], NoDecode] = []
    root_path: RootPath = ""

    docs_enabled: bool = True
    cors_origins: Annotated[list[Origin], NoDecode] = []
    frontend_url: HttpUrl = HttpUrl("http://localhost:3000")
    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    body_timeout: float = Field(default=30, gt=0)
    max_concurrent_requests: int = Field(default=100, ge=1)
    shutdown_delay: float = Field(default=2, ge=0)
    shutdown_timeout: int = Field(default=20, ge=1)

    email_enabled: bool = True
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    email_from: Address = "noreply@example.com"

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @property
    def is_deployed(self) -> bool:
        return self.environment in {Environment.STAGING, Environment.PRODUCTION}

    @model_validator(mode="after")
    def _check_production_settings(self) -> Self:
        if self.environment is Environment.DEVELOPMENT:
            return self
        problems = [
            *_weakness("SECRET_KEY", self.secret_key, MIN_SECRET_LENGTH),
            *_weakness("FIRST_SUPERUSER_PASSWORD", self.first_superuser_password, 12),
        ]
        if self.is_deployed:
            fields = type(self).model_fields
            needed = ["database_url"]
            if self.email_enabled:
                needed += ["smtp_host", "email_from", "frontend_url"]
            problems += [
                f"{name.upper()}: is missing or still has its default for development"
                for name in needed
                if getattr(self, name) == fields[name].default
            ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _weakness(name: str, secret: SecretStr | None, min_length: int) -> list[str]:
    if secret is None:
        return []
    value = secret.get_secret_value()
    if len(value) < min_length or len(set(value)) < min_length // 3:
        return [f"{name}: is too short or too simple; it needs {min_length} random characters"]
    if any(word in value.lower() for word in _PLACEHOLDERS):
        return [f"{name}: is a placeholder, not a secret"]
    return []


def load_settings(**values: Any) -> Settings:
    """Read the settings. *values* take precedence over the environment and `.env`.

    Raises SettingsError, which names each invalid variable but never its value.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            message = describe_error(problem)
            name = str(problem["loc"][0]).upper() if problem["loc"] else ""
            if problem["type"] == "missing":
                message = "is missing or empty"
            lines += [f"{name}: {message}"] if name else message.splitlines()
        listing = "".join(f"  {line}\n" for line in lines)
        raise SettingsError(
            f"The service can't start with these settings:\n{listing}"
            "Set them in the environment or in .env. example.env explains each of them.\n"
            'To make a secret: python -c "import secrets; print(secrets.token_urlsafe(48))"'
        ) from None


@cache
def get_settings() -> Settings:
    return load_settings()
