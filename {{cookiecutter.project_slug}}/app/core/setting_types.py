"""Types of settings: values with one clear meaning are accepted in all their spellings.

The errors say in a sentence what is wrong and never repeat the value, which may be a secret.
"""

import json
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
)
from pydantic_settings import NoDecode

Item = TypeVar("Item")


def check_text(name: str, value: str) -> None:
    """Raise ValueError for a value that arrived damaged, whatever it means."""
    if name.endswith("port") and value.startswith(("tcp://", "udp://")):
        raise ValueError(
            "must be a number; Kubernetes sets this one for a service of the same name, unless the "
            "pod has `enableServiceLinks: false`"
        )
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise ValueError(
            "is in quotes, which `docker run --env-file` and Kubernetes keep; remove them"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid UTF-8") from None


def any_case(fold: Callable[[str], str] = str.lower, **aliases: str) -> BeforeValidator:
    """Ignore upper and lower case, and translate other names of a choice."""

    def normalise(value: Any) -> Any:
        return aliases.get(fold(value), fold(value)) if isinstance(value, str) else value

    return BeforeValidator(normalise)


def _listed(check: Callable[[str], Item]) -> BeforeValidator:
    """Split a list in JSON, or with commas or white space between its items, and check each."""

    def split(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            items = json.loads(value) if value.startswith("[") else value.replace(",", " ").split()
        except ValueError:
            items = [value]  # an IPv6 address in brackets
        found = []
        for number, item in enumerate(items, 1):
            try:
                found.append(check(str(item).strip()))
            except ValueError as error:
                place = f"item {number} " if len(items) > 1 else ""
                raise ValueError(f"{place}{error}") from None
        return found

    return BeforeValidator(split)


def _parse_web_address(text: str) -> HttpUrl:
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        url = HttpUrl(text)
    except ValidationError:
        raise ValueError("is not a valid web address") from None
    if url.username or url.password:
        raise ValueError("must not contain a user name or password")
    return url


def _parse_origin(text: str) -> str:
    """Return an origin as browsers write it in the header `Origin`."""
    if "*" in text:
        raise ValueError("must be a whole origin such as https://app.example.com, without *")
    url = _parse_web_address(text)
    if (url.path or "/") != "/" or url.query or url.fragment:
        raise ValueError("must be an origin such as https://app.example.com, without a path")
    standard_port = {"http": 80, "https": 443}[url.scheme]
    return f"{url.scheme}://{url.host}{'' if url.port == standard_port else f':{url.port}'}"


def _parse_front_end(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    url = _parse_web_address(value)
    if url.query:
        raise ValueError("must not contain a ? part, because links in mails add one")
    return url


def _parse_proxy(text: str) -> str:
    if text.lower() == "unix":
        return "unix"
    try:
        return str(ip_network(text.removeprefix("[").removesuffix("]"), strict=False))
    except ValueError:
        raise ValueError("must list addresses or networks, such as 10.0.0.0/8, or unix") from None


def _parse_allowed_host(text: str) -> str:
    host = text.lower()
    if re.fullmatch(r"(\*\.)?[\w-]+(\.[\w-]+)*", host):
        return host
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(
            "must list host names without :// or a port, such as api.example.com or *.example.com"
        ) from None
    return f"[{address}]"  # as in the header `Host`; IPv4 has no brackets and has matched above


def _parse_root_path(path: str) -> str:
    path = path.strip("/")
    if path and not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*", path):
        raise ValueError("must be a path without a host, such as /service")
    return f"/{path}" if path else ""


def _bare_address(value: Any) -> Any:
    # EmailStr accepts `Shop <shop@example.com>` too, and would drop the name.
    if "<" in str(value):
        raise ValueError("must be an address alone, without a name")
    return value


def _check_host(value: str) -> str:
    value = value.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(value))
    except ValueError:
        pass
    if any(character in " /:@," for character in value):
        raise ValueError("must be a host name or an IP address alone, without :// or a port")
    return value


def _validate_redis_url(url: SecretStr) -> SecretStr:
    from valkey.asyncio import ConnectionPool  # noqa: PLC0415 -- slow to import, and optional

    scheme, separator, rest = url.get_secret_value().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in {"redis", "rediss", "valkey", "valkeys", "unix"}:
        raise ValueError(
            "must start with redis://, rediss://, valkey://, valkeys:// or unix:// (a socket)"
        )
    try:
        pool = ConnectionPool.from_url(f"{scheme}://{rest}")
        pool.connection_class(**pool.connection_kwargs)
    except TypeError:
        raise ValueError("has an unknown option after the ?") from None
    except Exception:  # noqa: BLE001 -- the parser's own words may contain the password
        raise ValueError("is not a valid address, for example because of its port") from None
    return SecretStr(f"{scheme}://{rest}")


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=3650)]
Host = Annotated[str, AfterValidator(_check_host)]
RedisURL = Annotated[SecretStr, AfterValidator(_validate_redis_url)]
Address = Annotated[EmailStr, BeforeValidator(_bare_address)]
SecretKeys = Annotated[list[SecretStr], NoDecode, _listed(SecretStr)]
AllowedHosts = Annotated[list[str], NoDecode, _listed(_parse_allowed_host)]
Origins = Annotated[list[str], NoDecode, _listed(_parse_origin)]
RootPath = Annotated[str, AfterValidator(_parse_root_path)]
Proxies = Annotated[list[str], NoDecode, _listed(_parse_proxy)]
FrontEndURL = Annotated[HttpUrl, BeforeValidator(_parse_front_end)]
