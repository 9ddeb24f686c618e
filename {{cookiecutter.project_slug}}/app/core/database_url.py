"""Reads DATABASE_URL: libpq itself parses and checks addresses of PostgreSQL.

Errors name the option or the part that is wrong. They show no values, which may be secrets.
"""

import ssl
from pathlib import Path
from urllib.parse import parse_qsl

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# Other libraries' notes about a pooler. Nothing in this service depends on whether there is one.
_IGNORED_OPTIONS = {
    "pgbouncer",
    "prepared_statement_cache_size",
    "statement_cache_size",
    "supa",
    "uselibpqcompat",
    "workaround",
}
_INSTEAD = {
    "connection_limit": "set DATABASE_POOL_SIZE instead",
    "pool_size": "set DATABASE_POOL_SIZE instead",
    "pool_timeout": "set DATABASE_POOL_TIMEOUT instead",
    "schema": "write options=-csearch_path%3DNAME instead",
    "statement_timeout": "set DATABASE_STATEMENT_TIMEOUT instead",
}
_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
)
_FILES = ("passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert")
_RESERVED = (
    "the user name or the password probably contains one of @ / ? %, "
    "which have to be written as %40 %2F %3F %25"
)


def normalize_database_url(given: str, folder: Path) -> str:
    """Return the address with the driver that the service uses. A relative file is in *folder*.

    Raises ValueError if the service could never connect with it.
    """
    given = given.strip()
    if given[:1] in {'"', "'"}:
        raise ValueError("has quotes around it; remove them")
    if not given.isprintable():
        raise ValueError("contains a line break or another control character")
    scheme, _, rest = given.partition("://")
    # Whichever driver is named: the service has one for each database.
    match scheme.lower().partition("+")[0]:
        case "postgres" | "postgresql":
            url = _postgresql_url(f"postgresql://{rest}")
        case "sqlite":
            url = _sqlite_url(f"sqlite+aiosqlite://{rest}", folder)
        case _:
            raise ValueError("must start with postgresql:// or sqlite:///")
    return url.render_as_string(hide_password=False)


def _sqlite_url(given: str, folder: Path) -> URL:
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise ValueError("is not a valid address") from None
    if url.host is not None:
        raise ValueError("needs three slashes for a relative path, and four for an absolute one")
    if url.query:
        raise ValueError(f'unknown option "{min(url.query)}"')
    if url.database in {None, "", ":memory:"}:
        raise ValueError("must name a file: the connections of a pool share no memory")
    path = folder / str(url.database)
    if not _is_dir(path.parent):
        raise ValueError(f"there is no folder {path.parent}")
    if _is_dir(path):
        raise ValueError("must name a file, not a folder")
    return url.set(database=str(path))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # its parent can't be read, for example
        return False


def _postgresql_url(given: str) -> URL:
    address, _, query = given.partition("?")
    if "@" in query and "@" not in address:
        raise ValueError(_RESERVED)
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(address).items()}
    except (ProgrammingError, UnicodeDecodeError):  # the message quotes the password
        raise ValueError(f"is not a valid address; {_RESERVED}") from None
    parameters |= _options(query)
    _check_address(parameters)
    _check_options(parameters)
    return _url(parameters)


def _options(query: str) -> dict[str, str]:
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    options: dict[str, str] = {}
    hosts: list[tuple[str, str]] = []
    # Unlike in forms, `+` means itself.
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name == "host":
            # SQLAlchemy's form of several hosts: host=a:5432&host=b:5432.
            host, _, port = value.partition(":") if _has_port(value) else (value, "", "")
            hosts.append((host, port))
        elif name == "ssl":
            options["sslmode"] = {"true": "require", "false": "disable"}.get(value, value)
        elif name in known:
            options[name] = value
        elif name not in _IGNORED_OPTIONS:
            hint = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise ValueError(f'unknown option "{name}"{hint}')
    if hosts:
        options["host"] = ",".join(host for host, _ in hosts)
        if any(port for _, port in hosts):
            options["port"] = ",".join(port for _, port in hosts)
    return options


def _has_port(host: str) -> bool:
    return host.count(":") == 1 and not host.startswith("/")  # no IPv6 address and no socket


def _check_address(parameters: dict[str, str]) -> None:
    if any("@" in parameters.get(name, "") for name in ("host", "port", "dbname")):
        raise ValueError(_RESERVED)
    for port in filter(None, parameters.get("port", "").split(",")):
        if not (port.isascii() and port.isdecimal()):
            raise ValueError("the port is not a number")
        if not 1 <= int(port) <= 65535:
            raise ValueError("the port must be between 1 and 65535")
    if "service" in parameters:
        return  # libpq's service file has them
    if not (parameters.get("host") or parameters.get("hostaddr")):
        raise ValueError("the host is missing")
    if not parameters.get("dbname"):
        raise ValueError("the name of the database is missing")


def _check_options(parameters: dict[str, str]) -> None:
    for name in _NUMBERS:
        if not parameters.get(name, "0").isdecimal():
            raise ValueError(f'the option "{name}" is not a number')
    for name in _FILES:
        file = parameters.get(name, "system")  # libpq's word for the system's certificates
        if file != "system" and not Path(file).is_file():
            raise ValueError(f'the file of the option "{name}" does not exist')
    _check_with_libpq(parameters)
    if parameters.get("sslrootcert") == "system":
        # psycopg's wheels have an OpenSSL of their own, which can't find the system's certificates.
        certificates = ssl.get_default_verify_paths().cafile
        if certificates is None:
            raise ValueError("sslrootcert=system finds no file; name it instead of the word system")
        parameters |= {"sslrootcert": certificates, "sslmode": "verify-full"}


def _check_with_libpq(parameters: dict[str, str]) -> None:
    """Have libpq check the values, as it does before it connects, but with hosts that aren't."""
    hosts = max(parameters.get(name, "").count(",") + 1 for name in ("host", "hostaddr"))
    values = {name: value for name, value in parameters.items() if name != "hostaddr"}
    values["host"] = ",".join(["/dev/null"] * hosts)
    connection = pq.PGconn.connect_start(make_conninfo(**values).encode())
    message = connection.get_error_message()
    connection.finish()
    if not message.startswith("connection to server"):
        raise ValueError(message.strip().partition(': "')[0])


def _url(parameters: dict[str, str]) -> URL:
    url = URL.create(
        "postgresql+psycopg",
        username=parameters.pop("user", None),
        password=parameters.pop("password", None),
        database=parameters.pop("dbname", None),
    )
    host, port = parameters.get("host", ""), parameters.get("port", "")
    if host and not set(host) & set(",/%@"):
        del parameters["host"]
        port = parameters.pop("port", "")
        url = url.set(host=host, port=int(port) if port else None)
    elif port and "," not in port:  # SQLAlchemy wants one for each host
        parameters["port"] = ",".join([port] * (host.count(",") + 1))
    return url.set(query=parameters)
