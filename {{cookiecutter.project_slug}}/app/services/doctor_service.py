"""Looks for whatever keeps the service from working well: `python -m app.manage doctor`."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

import aiosmtplib
from limits.errors import StorageError

from app.core.config import PROJECT_VERSION, Settings, check_env_file
from app.core.security import CLOCK_SKEW_SECONDS, key_id
from app.crud.revision import find_revision
from app.crud.server import Server, find_server
from app.crud.user_session import find_key_expiries
from app.db.errors import unavailable_reason
from app.db.revisions import find_mismatch
from app.db.session import Database
from app.services.connection_service import describe_connections, has_enough_connections
from app.utils.email import check_smtp
from app.utils.rate_limit import RateLimits

# The oldest release that still gets security fixes, as of November 2026.
OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class Finding:
    subject: str
    level: Literal["ok", "warning", "error"]
    text: str
    # A command, or whatever else repairs it.
    fix: str | None = None


async def diagnose(settings: Settings) -> list[Finding]:
    """Check everything that the service depends on, and change nothing."""
    findings = [*_check_settings(settings), *_check_proxies(settings)]
    async with Database.open(settings) as database:
        findings += [finding async for finding in _check_database(settings, database)]
    findings += [finding async for finding in _check_redis(settings)]
    findings += [finding async for finding in _check_mail(settings)]
    return findings


def _check_settings(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", "ok", f"valid; {settings.environment}, version {PROJECT_VERSION}")
    for mistake in check_env_file():
        yield Finding("settings", "warning", mistake, "Correct .env")
    if settings.is_deployed and settings.log_level == "DEBUG":
        text = "LOG_LEVEL=DEBUG writes more lines than anybody reads"
        yield Finding("settings", "warning", text, "Set LOG_LEVEL=INFO")


def _check_proxies(settings: Settings) -> Iterator[Finding]:
    if any(network.endswith("/0") for network in settings.trusted_proxies):
        text = "TRUSTED_PROXIES has every address, so clients can choose the one that they show"
        yield Finding("proxies", "error", text, "Set TRUSTED_PROXIES to your proxies only")
    elif settings.trusted_proxies:
        text = f"forwarded headers are trusted from {', '.join(settings.trusted_proxies)}"
        yield Finding("proxies", "ok", text)
    elif settings.is_deployed:
        text = "TRUSTED_PROXIES is empty: behind a proxy, all clients share one rate limit"
        fix = "Set TRUSTED_PROXIES to the proxy's address, unless there is no proxy"
        yield Finding("proxies", "warning", text, fix)


async def _check_database(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    try:
        server = await find_server(database.engine)
    except Exception as error:
        if (reason := unavailable_reason(error)) is None:
            raise
        yield Finding("database", "error", reason, "Start the database, or correct DATABASE_URL")
        return
    for finding in check_server(settings, server):
        yield finding
    try:
        revision, is_writable = await find_revision(database.read_session)
        # SQLite finds out when a transaction begins.
        async with database.session.begin() as session:
            await session.connection()
    except Exception as error:
        if (reason := unavailable_reason(error)) is None:
            raise
        fix = "alembic upgrade head" if "alembic" in reason else "Give the database write access"
        yield Finding("migrations", "error", reason, fix)
        return
    if not is_writable:
        fix = "List all hosts in DATABASE_URL, with target_session_attrs=read-write"
        yield Finding("database", "error", "the server is read-only", fix)
    if mismatch := find_mismatch(revision):
        yield Finding("migrations", "error", *mismatch)
        return
    yield Finding("migrations", "ok", f"the database is at revision {revision}")
    async for finding in _check_keys(settings, database):
        yield finding


def check_server(settings: Settings, server: Server) -> Iterator[Finding]:
    yield Finding("database", "ok", f"{server.version} answers")
    yield from _check_version(server)
    yield from _check_pool(settings, server)
    yield from _check_clock(server)


def _check_version(server: Server) -> Iterator[Finding]:
    name, _, version = server.version.partition(" ")
    if name == "PostgreSQL" and int(version.partition(".")[0]) < OLDEST_POSTGRES:
        text = f"{server.version} gets no more security fixes"
        yield Finding("database", "warning", text, "Upgrade the server")


def _check_pool(settings: Settings, server: Server) -> Iterator[Finding]:
    if server.has_pooler:
        yield Finding("pool", "ok", "connections go through a pooler, whose own limits count")
        return
    if server.max_connections is None:
        return
    text = describe_connections(settings, server)
    if has_enough_connections(settings, server):
        yield Finding("pool", "ok", text)
    else:
        size = max(1, server.max_connections // settings.web_concurrency)
        fix = f"Set DATABASE_POOL_SIZE={size} or less"
        yield Finding("pool", "error", text, fix)


def _check_clock(server: Server) -> Iterator[Finding]:
    if abs(server.clock_ahead) > CLOCK_SKEW_SECONDS:
        text = f"the database server's clock differs by {abs(server.clock_ahead):.0f} s from ours"
        yield Finding("clock", "warning", text, "timedatectl set-ntp true")


async def _check_keys(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    """Find out whether refresh tokens still depend on older keys."""
    if not settings.secret_key_fallbacks:
        return
    expiries = await find_key_expiries(database.read_session)
    for number, key in enumerate(settings.secret_keys[1:], 1):
        # Tokens without a key ID are from before there was one.
        expiry = max(filter(None, (expiries.get(key_id(key)), expiries.get(None))), default=None)
        if expiry is None:
            text = f"no user session needs key {number} of SECRET_KEY_FALLBACKS any more"
            fix = "Remove it, but not within 48 hours after the change: it verifies mailed links"
            yield Finding("secret key", "warning", text, fix)
        else:
            text = (
                f"key {number} of SECRET_KEY_FALLBACKS is needed until {expiry:%Y-%m-%d %H:%M} UTC"
            )
            yield Finding("secret key", "ok", text)


async def _check_redis(settings: Settings) -> AsyncIterator[Finding]:
    if settings.redis_url is None:
        if settings.web_concurrency > 1:
            text = f"each of {settings.web_concurrency} workers counts attempts for itself"
            yield Finding("rate limits", "warning", text, "Set REDIS_URL")
        return
    rate_limits = RateLimits(settings)
    try:
        await rate_limits.ping_store()
    except StorageError as error:
        text = f"the store of REDIS_URL can't be used ({type(error.storage_error).__name__})"
        yield Finding("rate limits", "error", text, "Start the store, or correct REDIS_URL")
    else:
        yield Finding("rate limits", "ok", "the store of REDIS_URL answers")
    finally:
        await rate_limits.close()


async def _check_mail(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.email_enabled:
        yield Finding("mail", "ok", "turned off by EMAIL_ENABLED=false")
        return
    if settings.is_deployed and settings.frontend_url.scheme == "http":
        text = "FRONTEND_URL is not https, so the tokens in mailed links can be read on their way"
        yield Finding("mail", "warning", text, "Set FRONTEND_URL=https://…")
    if settings.smtp_host is None:
        yield Finding("mail", "ok", "written to var/mail, because SMTP_HOST is empty")
    else:
        server = f"{settings.smtp_host}:{settings.smtp_port}"
        try:
            await check_smtp(settings)
        except (aiosmtplib.SMTPException, OSError) as error:
            # Its text may quote what was sent.
            text = f"{server} can't be used ({type(error).__name__})"
            fix = "Correct SMTP_HOST, SMTP_PORT, SMTP_TLS, SMTP_USERNAME and SMTP_PASSWORD"
            yield Finding("mail", "error", text, fix)
        else:
            done = "accepts the user name and password" if settings.smtp_username else "answers"
            yield Finding("mail", "ok", f"{server} {done}")
