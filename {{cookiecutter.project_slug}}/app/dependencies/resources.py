"""Everything that the application opens when it starts and closes when it stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.config import Settings
from app.core.passwords import PasswordHasher, PasswordPolicy
from app.db.session import Database
from app.utils.email import Mailer
from app.utils.rate_limit import RateLimits


@dataclass(slots=True)
class Resources:
    settings: Settings
    database: Database
    password_hasher: PasswordHasher
    mailer: Mailer
    rate_limits: RateLimits


@asynccontextmanager
async def open_resources(
    settings: Settings, password_hasher: PasswordHasher | None = None
) -> AsyncIterator[Resources]:
    """Open the resources. Tests pass their own, cheap *password_hasher*."""
    if password_hasher is None:
        password_hasher = PasswordHasher(PasswordPolicy.from_settings(settings))
    async with Database.open(settings) as database:
        resources = Resources(
            settings=settings,
            database=database,
            password_hasher=password_hasher,
            mailer=Mailer(settings),
            rate_limits=RateLimits(settings),
        )
        try:
            yield resources
        finally:
            await resources.mailer.close()
            await resources.rate_limits.close()
            resources.password_hasher.close()


def get_resources(connection: HTTPConnection) -> Resources:
    # ASGI's lifespan state: unlike `app.state`, mounted applications have it too.
    resources: Resources = connection.state.resources
    return resources


async def _get_resources(connection: HTTPConnection) -> Resources:
    return get_resources(connection)  # a plain function as a dependency would run in a thread


ResourcesDep = Annotated[Resources, Depends(_get_resources)]
