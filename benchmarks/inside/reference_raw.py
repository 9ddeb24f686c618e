"""asyncpg and models that aren't validated: the practical limit of this stack.

`DATABASE=... uvicorn reference_raw:app`, with the database that reference_textbook.py fills.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg  # type: ignore[import-not-found]  # only the benchmark installs it
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordRequestForm
from reference_common import (
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
from uuid_utils.compat import uuid7

COLUMNS = "id, email, full_name, is_active, is_superuser, is_verified, created_at, updated_at"


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
    statement = f"SELECT {COLUMNS} FROM users WHERE id = $1"
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
        f"SELECT {COLUMNS} FROM users ORDER BY created_at, id LIMIT $1 OFFSET $2", limit, offset
    )
    return Page.model_construct(items=[UserRead.model_construct(**row) for row in rows])


@app.patch("/me")
async def update_me(user: CurrentUser, pool: Pool, change: Update) -> UserRead:
    row = await pool.fetchrow(
        f"UPDATE users SET full_name = $2, updated_at = now() WHERE id = $1 RETURNING {COLUMNS}",
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
        f" RETURNING {COLUMNS}",
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
