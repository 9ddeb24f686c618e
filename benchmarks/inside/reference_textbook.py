"""An app as the tutorials of FastAPI and SQLAlchemy teach it: a session for each request, ORM objects.

It has the routes, columns and token check of the generated service, and nothing else: no request
ids, no log, no limits, no sessions that can be revoked. `DATABASE=... uvicorn reference_textbook:app`.
`python reference_textbook.py COUNT` creates the table, with COUNT users, and prints a token for each
of the first 256.
"""

import asyncio
import datetime as dt
import json
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordRequestForm
from reference_common import (
    PASSWORD,
    URL,
    Create,
    Page,
    Token,
    Update,
    UserRead,
    check,
    decode,
    encode,
    hasher,
)
from sqlalchemy import DateTime, Index, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7

TOKENS = 256
BATCH = 1000


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    __table_args__ = (Index(None, "created_at", "id"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    email: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str | None]
    hashed_password: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    is_superuser: Mapped[bool] = mapped_column(default=False)
    is_verified: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: dt.datetime.now(dt.UTC)
    )
    updated_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: dt.datetime.now(dt.UTC)
    )


engine = create_async_engine(URL)
make_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def get_db() -> AsyncIterator[AsyncSession]:
    async with make_session() as session:
        yield session


Db = Annotated[AsyncSession, Depends(get_db)]


async def get_current_user(token: Token, db: Db) -> User:
    user = await db.get(User, decode(token))
    if not user or not user.is_active:
        raise HTTPException(401)
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/me", response_model=UserRead)
async def read_me(user: CurrentUser) -> User:
    return user


@app.get("/users", response_model=Page)
async def list_users(_: CurrentUser, db: Db, limit: int = 100, offset: int = 0) -> Any:
    statement = select(User).order_by(User.created_at, User.id).limit(limit).offset(offset)
    return {"items": (await db.scalars(statement)).all()}


@app.patch("/me", response_model=UserRead)
async def update_me(user: CurrentUser, db: Db, change: Update) -> User:
    user.full_name = change.full_name
    user.updated_at = dt.datetime.now(dt.UTC)
    await db.commit()
    return user


@app.post("/users", response_model=UserRead, status_code=201)
async def sign_up(db: Db, new: Create) -> User:
    hashed_password = await run_in_threadpool(hasher.hash, new.password)
    user = User(email=new.email, hashed_password=hashed_password)
    db.add(user)
    await db.commit()
    return user


@app.post("/token")
async def log_in(db: Db, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Any:
    user = await db.scalar(select(User).where(User.email == form.username))
    if not user:
        raise HTTPException(401)
    await check(user.hashed_password, form.password)
    return {"access_token": encode(user.id), "token_type": "bearer"}


async def add_users(count: int) -> list[str]:
    """Create the table and *count* users; return the tokens of the first ones."""
    engine = create_async_engine(URL)
    hashed_password = hasher.hash(PASSWORD)
    ids = [uuid7() for _ in range(count)]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        for start in range(0, count, BATCH):
            rows = [
                {
                    "id": ids[number],
                    "email": f"user{number:06}@example.com",
                    "full_name": f"User {number}",
                    "hashed_password": hashed_password,
                }
                for number in range(start, min(start + BATCH, count))
            ]
            await connection.execute(insert(User), rows)
        await connection.execute(text("ANALYZE"))
    await engine.dispose()
    return [encode(user_id) for user_id in ids[:TOKENS]]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(add_users(int(sys.argv[1])))))
