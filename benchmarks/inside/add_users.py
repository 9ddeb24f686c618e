"""Add users to the database of a service: `python add_users.py COUNT` in its folder."""

import asyncio
import sys

from sqlalchemy import URL, insert, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.config import get_settings
from app.db.session import database_url
from app.models.user import User

BATCH = 1000


async def add_users(url: URL, count: int) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for start in range(0, count, BATCH):
            rows = [
                {"email": f"user{number:06}@example.com", "hashed_password": "x"}
                for number in range(start, min(start + BATCH, count))
            ]
            await connection.execute(insert(User), rows)
        await connection.execute(text("ANALYZE"))
    await engine.dispose()


if __name__ == "__main__":
    with database_url(get_settings()) as database:
        asyncio.run(add_users(database, int(sys.argv[1])))
