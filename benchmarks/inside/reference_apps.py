"""Two services to compare with: `DATABASE=... SUBJECT=textbook uvicorn reference_apps:app`.

*textbook* is what the tutorials of FastAPI and SQLAlchemy teach: a session for each request and ORM
objects. *raw* is asyncpg and models that aren't validated: the practical limit of this stack. Both
have the routes, columns and token check of the generated service, and nothing else: no request ids,
no log, no limits, no sessions that can be revoked.

`python reference_apps.py COUNT` creates the table, with COUNT users, and prints a token for each of
the first 256.
"""

import asyncio
import datetime as dt
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, Index, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7

URL = os.environ["DATABASE"]
KEY = "the key of the reference apps, 32 bytes"
PASSWORD = "correct horse battery staple"  # noqa: S105 -- of users that exist in a benchmark only
TOKENS = 256
BATCH = 1000

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


def textbook() -> FastAPI:
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

    return app


def raw() -> FastAPI:
    import asyncpg

    columns = "id, email, full_name, is_active, is_superuser, is_verified, created_at, updated_at"

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        address = URL.replace("+asyncpg", "")
        app.state.pool = await asyncpg.create_pool(address, min_size=15, max_size=15)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    async def get_pool(request: Request) -> Any:
        return request.app.state.pool

    Pool = Annotated[Any, Depends(get_pool)]

    async def get_current_user(token: Token, request: Request) -> Any:
        statement = f"SELECT {columns} FROM users WHERE id = $1"
        row = await request.app.state.pool.fetchrow(statement, decode(token))
        if not row or not row["is_active"]:
            raise HTTPException(401)
        return row

    CurrentUser = Annotated[Any, Depends(get_current_user)]

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/me")
    async def read_me(user: CurrentUser) -> UserRead:
        return UserRead.model_construct(**user)

    @app.get("/users")
    async def list_users(_: CurrentUser, pool: Pool, limit: int = 100, offset: int = 0) -> Page:
        rows = await pool.fetch(
            f"SELECT {columns} FROM users ORDER BY created_at, id LIMIT $1 OFFSET $2", limit, offset
        )
        return Page.model_construct(items=[UserRead.model_construct(**row) for row in rows])

    @app.patch("/me")
    async def update_me(user: CurrentUser, pool: Pool, change: Update) -> UserRead:
        row = await pool.fetchrow(
            f"UPDATE users SET full_name = $2, updated_at = now() WHERE id = $1 RETURNING {columns}",
            user["id"],
            change.full_name,
        )
        return UserRead.model_construct(**row)

    @app.post("/users", status_code=201)
    async def sign_up(pool: Pool, new: Create) -> UserRead:
        hashed_password = await run_in_threadpool(hasher.hash, new.password)
        row = await pool.fetchrow(
            "INSERT INTO users (id, email, hashed_password, is_active, is_superuser, is_verified,"
            " created_at, updated_at) VALUES ($1, $2, $3, true, false, false, now(), now())"
            f" RETURNING {columns}",
            uuid7(),
            new.email,
            hashed_password,
        )
        return UserRead.model_construct(**row)

    @app.post("/token")
    async def log_in(pool: Pool, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Any:
        row = await pool.fetchrow(
            "SELECT id, hashed_password FROM users WHERE email = $1", form.username
        )
        if not row:
            raise HTTPException(401)
        await check(row["hashed_password"], form.password)
        return {"access_token": encode(row["id"]), "token_type": "bearer"}

    return app


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
else:
    app = {"textbook": textbook, "raw": raw}[os.environ["SUBJECT"]]()
