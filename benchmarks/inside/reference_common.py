"""Schemas, tokens and passwords of the apps that a service is compared with."""

import datetime as dt
import os
import uuid
from typing import Annotated

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict

URL = os.environ["DATABASE"]
KEY = "the key of the reference apps, 32 bytes"
PASSWORD = "correct horse battery staple"  # noqa: S105 -- of users that exist in a benchmark only

bearer = OAuth2PasswordBearer(tokenUrl="token")
Token = Annotated[str, Depends(bearer)]
# As much work as the generated service's.
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class UserRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    email: str
    full_name: str | None
    is_active: bool
    is_superuser: bool
    is_verified: bool
    created_at: dt.datetime
    updated_at: dt.datetime


class Page(BaseModel):
    items: list[UserRead]


class Update(BaseModel):
    full_name: str


class Create(BaseModel):
    email: str
    password: str


def encode(user_id: uuid.UUID) -> str:
    claims = {"sub": str(user_id), "exp": dt.datetime.now(dt.UTC) + dt.timedelta(hours=12)}
    return jwt.encode(claims, KEY, algorithm="HS256")


def decode(token: str) -> uuid.UUID:
    try:
        return uuid.UUID(jwt.decode(token, KEY, algorithms=["HS256"])["sub"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error


async def check(hashed_password: str, password: str) -> None:
    try:
        await run_in_threadpool(hasher.verify, hashed_password, password)
    except VerifyMismatchError as error:
        raise HTTPException(401) from error
