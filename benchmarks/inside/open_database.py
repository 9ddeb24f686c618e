"""Hold the database of a service open, with users in it: `python open_database.py COUNT`.

Prints one line of JSON: the address of the database, the tokens of 256 superusers, and their
password. Ends when its standard input is closed.
"""

import asyncio
import json
import sys
from datetime import timedelta

from argon2 import PasswordHasher
from sqlalchemy import URL, insert, text
from sqlalchemy.ext.asyncio import create_async_engine
from uuid_utils.compat import uuid7

from app.core.config import get_settings
from app.core.security import encode_access_token
from app.db.session import database_url
from app.models.user import User
from app.models.user_session import UserSession

PASSWORD = "correct horse battery staple"  # noqa: S105 -- of users that exist in a benchmark only
TOKENS = 256
BATCH = 1000


async def add_users(url: URL, count: int) -> list[str]:
    """Add *count* users; return the tokens of the first ones, which are superusers."""
    engine = create_async_engine(url)
    key = get_settings().secret_key.get_secret_value()
    hashed_password = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(
        PASSWORD
    )
    user_ids = [uuid7() for _ in range(count)]
    sessions = [{"id": uuid7(), "user_id": user_id} for user_id in user_ids[:TOKENS]]
    async with engine.begin() as connection:
        for start in range(0, count, BATCH):
            rows = [
                {
                    "id": user_ids[number],
                    "email": f"user{number:06}@example.com",
                    "full_name": f"User {number}",
                    "hashed_password": hashed_password,
                    "is_superuser": number < TOKENS,
                }
                for number in range(start, min(start + BATCH, count))
            ]
            await connection.execute(insert(User), rows)
        await connection.execute(insert(UserSession), sessions)
        await connection.execute(text("ANALYZE"))
    await engine.dispose()
    return [
        encode_access_token(
            key,
            user_id=session["user_id"],
            user_session_id=session["id"],
            lifetime=timedelta(hours=12),
        )
        for session in sessions
    ]


if __name__ == "__main__":
    with database_url(get_settings()) as database:
        tokens = asyncio.run(add_users(database, int(sys.argv[1])))
        address = database.render_as_string(hide_password=False)
        print(json.dumps({"url": address, "tokens": tokens}), flush=True)
        sys.stdin.read()
