"""Settings, read from the environment and from `.env`. No other module reads either."""

import logging
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.database_url import normalize_database_url
from app.core.env_file import find_mistakes
from app.core.limits import POOL_TIMEOUT_SECONDS
from app.core.setting_types import (
    Address,
    AllowedHosts,
    Days,
    FrontEndURL,
    Host,
    Origins,
    Proxies,
    RedisURL,
    RootPath,
    Seconds,
    SecretKeys,
    any_case,
    check_text,
)
from app.core.validation import describe_error

logger = logging.getLogger(__name__)

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


# Instead of pydantic's messages, which are about parsers.
_MESSAGES = {
    "bool_parsing": "must be true or false",
    "float_parsing": "must be a number, without a unit",
    "int_parsing": "must be a whole number, without a unit",
    "missing": "is missing or empty",
}


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class SettingsError(SystemExit):
    """Ends the process with a message instead of a traceback."""


def _normalize_database_url(url: SecretStr) -> SecretStr:
    return SecretStr(normalize_database_url(url.get_secret_value(), ROOT))


DatabaseURL = Annotated[SecretStr, AfterValidator(_normalize_database_url)]


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
    environment: Annotated[
        Environment, any_case(dev="development", stage="staging", prod="production")
    ] = Environment.PRODUCTION

    host: Host = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    web_concurrency: int = Field(default=1, ge=1)

    database_url: DatabaseURL | None = None
    database_pool_size: int = Field(default=15, ge=1)
    database_pool_timeout: Seconds = Field(default=POOL_TIMEOUT_SECONDS, gt=0)
    database_statement_timeout: Seconds = Field(default=10, gt=0)

    secret_key: SecretStr
    secret_key_fallbacks: SecretKeys = []
    allow_signup: bool = True
    password_min_length: int = Field(default=12, ge=1, le=128)
    password_reject_common: bool = True
    access_token_minutes: int = Field(default=15, ge=1, le=1440)
    refresh_token_days: Days = 30
    session_days: Days = 90
    first_superuser_email: Address | None = None
    first_superuser_password: SecretStr | None = None

    rate_limit_enabled: bool = True
    redis_url: RedisURL | None = None
    trusted_proxies: Proxies = []
    root_path: RootPath = ""

    docs_enabled: bool | None = None
    allowed_hosts: AllowedHosts = []
    cors_origins: Origins = []
    frontend_url: FrontEndURL = HttpUrl("http://localhost:3000")
    max_body_bytes: int = Field(default=1024 * 1024, ge=1)
    body_timeout: Seconds = 30
    max_concurrent_requests: int = Field(default=100, ge=1)
    shutdown_delay: float = Field(default=2, ge=0, le=86_400)
    shutdown_timeout: int = Field(default=20, ge=1, le=86_400)

    email_enabled: bool = True
    smtp_host: Host | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: Annotated[Literal["none", "starttls", "tls"], any_case(ssl="tls")] = "starttls"
    email_from: Address = "noreply@example.com"

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        any_case(str.upper, WARN="WARNING", FATAL="CRITICAL"),
    ] = "INFO"
    log_format: Annotated[Literal["console", "json"], any_case()] | None = None

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Strip white space, such as the newline of a secret made with `echo`; drop empty values."""
        stripped = {
            name: value.strip() if isinstance(value, str) else value
            for name, value in values.items()
        }
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("*", mode="before")
    @classmethod
    def _check_text(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            check_text(str(info.field_name), value)
        return value

    @property
    def is_deployed(self) -> bool:
        return self.environment in {Environment.STAGING, Environment.PRODUCTION}

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys that tokens may be signed with. The first one signs new ones."""
        return tuple(
            key.get_secret_value() for key in [self.secret_key, *self.secret_key_fallbacks]
        )

    @property
    def log_line_format(self) -> Literal["console", "json"]:
        return self.log_format or ("json" if self.is_deployed else "console")

    @property
    def serves_docs(self) -> bool:
        return not self.is_deployed if self.docs_enabled is None else self.docs_enabled

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems = _smtp_problems(self)
        if self.environment is not Environment.DEVELOPMENT:
            problems += [
                *_weakness("SECRET_KEY", self.secret_key, MIN_SECRET_LENGTH),
                *(
                    problem
                    for key in self.secret_key_fallbacks
                    for problem in _weakness("SECRET_KEY_FALLBACKS", key, MIN_SECRET_LENGTH)
                ),
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


def _smtp_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.smtp_username and not settings.smtp_password:
        problems.append("SMTP_PASSWORD: is missing, although SMTP_USERNAME is set")
    if settings.smtp_password and not settings.smtp_username:
        problems.append("SMTP_USERNAME: is missing, although SMTP_PASSWORD is set")
    if settings.smtp_port == 465 and settings.smtp_tls == "starttls":
        problems.append("SMTP_TLS: must be tls for port 465")
    return problems


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
            name = str(problem["loc"][0]).upper() if problem["loc"] else ""
            message = _MESSAGES.get(problem["type"]) or describe_error(problem)
            message = message.replace("Input should", "must")
            lines += [f"{name}: {message}"] if name else message.splitlines()
    except (OSError, UnicodeError):
        lines = []  # check_env_file says why
    lines += check_env_file()
    listing = "".join(f"  {line}\n" for line in lines)
    raise SettingsError(
        f"The service can't start with these settings:\n{listing}"
        "Set them in the environment or in .env. example.env explains each of them.\n"
        'To make a secret: python -c "import secrets; print(secrets.token_urlsafe(48))"'
    )


def check_env_file() -> list[str]:
    """List what is probably a mistake in `.env`."""
    names = [name.upper() for name in Settings.model_fields]
    return find_mistakes(Path(str(Settings.model_config["env_file"])), names)


def warn_of_env_file() -> None:
    """Log what is probably a mistake in `.env`, but doesn't keep the service from starting."""
    for mistake in check_env_file():
        logger.warning(mistake)


@cache
def get_settings() -> Settings:
    return load_settings()
