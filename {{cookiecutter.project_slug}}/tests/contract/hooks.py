"""Schemathesis loads this module, which signs the generated requests in.

Many requests revoke the session or delete the account that they are made with, so a new account is
made whenever the last one has stopped working.
"""

import os
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import schemathesis
from schemathesis import AuthContext
from sqlalchemy import make_url
from uuid_utils.compat import uuid7

from app.core.event_loop import run
from app.core.security import encode_access_token
from app.db.engine import make_engine
from app.db.session import Database
from app.models.user_session import UserSession
from tests.contract import filters as filters  # noqa: PLC0414 -- adds its hooks to these
from tests.support import make_user


async def make_user_session(*, superuser: bool) -> tuple[UUID, UUID]:
    user_id, user_session_id = uuid7(), uuid7()
    database = Database(make_engine(make_url(os.environ["DATABASE_URL"])))
    async with database.session.begin() as session:
        email = f"{user_id}@example.com"
        session.add(make_user(email, id=user_id, is_superuser=superuser))
        await session.flush()
        session.add(UserSession(id=user_session_id, user_id=user_id))
    await database.engine.dispose()
    return user_id, user_session_id


@schemathesis.auth(refresh_interval=None)
class Account:
    def __init__(self) -> None:
        self.client = httpx2.Client(base_url=os.environ["CONTRACT_ADDRESS"])
        self.token = "none"

    def get(self, case: Any, context: AuthContext) -> str:
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.client.get("/api/v1/users/me", headers=headers).status_code != 200:
            superuser = os.environ["CONTRACT_ROLE"] == "superuser"
            user_id, user_session_id = run(make_user_session(superuser=superuser))
            self.token = encode_access_token(
                os.environ["SECRET_KEY"],
                user_id=user_id,
                user_session_id=user_session_id,
                lifetime=timedelta(hours=1),
            )
        return self.token

    def set(self, case: Any, data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"
