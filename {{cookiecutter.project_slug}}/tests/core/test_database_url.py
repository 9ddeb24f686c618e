"""DATABASE_URL in the forms that people have it. Errors show no values."""

import ssl
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from app.core.database_url import normalize_database_url

BASE = "postgresql://u:p@h/n"
USED = "postgresql+psycopg://u:p@h/n"
RESERVED = "have to be written"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (f"  {BASE}\n", USED),
        ("POSTGRESQL://u:p@h/n", USED),
        ("postgres://u:p@h/n", USED),
        ("postgresql+asyncpg://u:p@h/n", USED),
        ("postgresql+psycopg2://u:p@h:5433/n", "postgresql+psycopg://u:p@h:5433/n"),
        ("postgres://u:p%25%40@h/n", "postgresql+psycopg://u:p%25%40@h/n"),
        ("postgres://u:p#[:]@h/n", "postgresql+psycopg://u:p%23%5B%3A%5D@h/n"),
        ("postgresql://u:p@[::1]:5432/n", "postgresql+psycopg://u:p@[::1]:5432/n"),
        # Options of libpq.
        (f"{BASE}?connect_timeout=10", f"{USED}?connect_timeout=10"),
        (f"{BASE}?options=-csearch_path%3Dx", f"{USED}?options=-csearch_path%3Dx"),
        (f"{BASE}?application_name=a+b", f"{USED}?application_name=a%2Bb"),
        (f"{BASE}?keepalives_idle=30", f"{USED}?keepalives_idle=30"),
        (f"{BASE}?channel_binding=require", f"{USED}?channel_binding=require"),
        (f"{BASE}?sslrootcert={quote(__file__)}", f"{USED}?sslrootcert={quote(__file__, safe='')}"),
        ("postgresql:///n?host=/run/pg&user=u", "postgresql+psycopg://u@/n?host=%2Frun%2Fpg"),
        ("postgresql:///n?hostaddr=127.0.0.1", "postgresql+psycopg:///n?hostaddr=127.0.0.1"),
        # Other libraries' options.
        (f"{BASE}?ssl=true", f"{USED}?sslmode=require"),
        (f"{BASE}?ssl=false", f"{USED}?sslmode=disable"),
        (f"{BASE}?ssl=require", f"{USED}?sslmode=require"),
        (f"{BASE}?pgbouncer=true&prepared_statement_cache_size=0", USED),
        # Several hosts.
        (
            "postgresql://u:p@/n?host=a:5432&host=b:1",
            "postgresql+psycopg://u:p@/n?host=a%2Cb&port=5432%2C1",
        ),
        (
            "postgresql://u:p@/n?host=b:1&host=a",
            "postgresql+psycopg://u:p@/n?host=b%2Ca&port=1%2C",
        ),
        (
            "postgresql://u:p@a:5432,b:1/n?target_session_attrs=read-write",
            "postgresql+psycopg://u:p@/n?host=a%2Cb&port=5432%2C1&target_session_attrs=read-write",
        ),
        (
            "postgresql://u:p@a,b/n?port=6432",
            "postgresql+psycopg://u:p@/n?host=a%2Cb&port=6432%2C6432",
        ),
        ("sqlite:////app.db", "sqlite+aiosqlite:////app.db"),
        ("SQLite+AIOSQLite:////app.db", "sqlite+aiosqlite:////app.db"),
    ],
)
def test_address_is_accepted(given: str, used: str, tmp_path: Path) -> None:
    assert normalize_database_url(given, tmp_path) == used


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (f'"{BASE}"', "has quotes around it; remove them"),
        (f"'{BASE}'", "has quotes around it; remove them"),
        (f"{BASE}\nhidden", "contains a line break or another control character"),
        ("mysql://u:hidden@h/n", "must start with postgresql:// or sqlite:///"),
        ("jdbc:postgresql://u:hidden@h/n", "must start with postgresql:// or sqlite:///"),
        ("postgresql:/u:hidden@h/n", "must start with postgresql:// or sqlite:///"),
        ("postgresql://user:password@host:port/name", "the port is not a number"),
        ("postgresql://u:hidden@h:0/n", "the port must be between 1 and 65535"),
        ("postgresql://u:hidden@h:65536/n", "the port must be between 1 and 65535"),
        ("postgresql://u:hidden@a:1,b:x/n", "the port is not a number"),
        ("postgresql://u:hidden@:5432/n", "the host is missing"),
        ("postgresql://u:hidden@h", "the name of the database is missing"),
        ("postgresql://u:hid@den@h/n", RESERVED),
        ("postgresql://u:hid/den@h/n", RESERVED),
        ("postgresql://u:1/hidden@h/n", RESERVED),
        ("postgresql://u:hid?den@h/n", RESERVED),
        ("postgresql://u:hid%zzden@h/n", RESERVED),
        ("postgresql://u:hid%FFden@h/n", RESERVED),
        ("postgresql://u:hidden@[::1/n", "is not a valid address"),
        (f"{BASE}?foo=hidden", 'unknown option "foo"'),
        (f"{BASE}?connection_limit=1", 'unknown option "connection_limit"; set DATABASE_POOL_SIZE'),
        (f"{BASE}?schema=hidden", 'unknown option "schema"; write options=-csearch_path'),
        (f"{BASE}?sslmode=hidden", "invalid sslmode value"),
        (f"{BASE}?sslmode", "invalid sslmode value"),
        (f"{BASE}?target_session_attrs=hidden", "invalid target_session_attrs value"),
        (f"{BASE}?channel_binding=hidden", "invalid channel_binding value"),
        (f"{BASE}?connect_timeout=hidden", 'the option "connect_timeout" is not a number'),
        (f"{BASE}?sslrootcert=/hidden", 'the file of the option "sslrootcert" does not exist'),
        (f"{BASE}?service=nothing", 'definition of service "nothing" not found'),
        ("postgresql://a,b/n?port=1,2,3", "could not match 3 port numbers to 2 hosts"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite://app.db", "needs three slashes"),
        ("sqlite://h:hidden/x", "is not a valid address"),
        ("sqlite:///app.db?mode=hidden", 'unknown option "mode"'),
        ("sqlite:////nowhere/app.db", "there is no folder"),
        ("sqlite:////", "must name a file, not a folder"),
    ],
)
def test_mistake_is_named_and_no_value_is_shown(given: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        normalize_database_url(given, tmp_path)
    assert message in str(caught.value)
    assert "hid" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_relative_file_is_in_the_project(tmp_path: Path) -> None:
    used = normalize_database_url("sqlite:///app.db", tmp_path)
    assert used == f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"


def test_folder_that_cannot_be_read_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_dir", fail)
    with pytest.raises(ValueError, match="there is no folder"):
        normalize_database_url("sqlite:///app.db", tmp_path)


@pytest.mark.parametrize("file", ["/certificates.pem", None])
def test_certificates_of_the_system_are_those_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    paths = SimpleNamespace(cafile=file)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    given = f"{BASE}?sslrootcert=system"
    if file:
        used = normalize_database_url(given, tmp_path)
        assert used == f"{USED}?sslmode=verify-full&sslrootcert=%2Fcertificates.pem"
    else:
        with pytest.raises(ValueError, match="finds no file"):
            normalize_database_url(given, tmp_path)
