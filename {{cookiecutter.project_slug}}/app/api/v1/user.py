from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response, status

from app.core.exceptions import (
    EmailTakenError,
    ForbiddenError,
    InUseError,
    LastSuperuserError,
    NotFoundError,
    SignupClosedError,
    TooManyAttemptsError,
    WrongPasswordError,
)
from app.dependencies.current_user import CurrentSuperuser, CurrentUser, CurrentUserSession
from app.dependencies.rate_limit import RateLimitByIP
from app.dependencies.services import UserReaderDep, UserServiceDep
from app.http.links import add_next_link
from app.http.openapi import CREATED, PAGE, problems
from app.http.router import Router
from app.models.user import User
from app.schemas.page import Page
from app.schemas.user import (
    PasswordChange,
    UserAdminUpdate,
    UserCreate,
    UserListParams,
    UserRead,
    UserUpdate,
)

router = Router(prefix="/users", tags=["users"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=UserRead,
    dependencies=[RateLimitByIP],
    responses=CREATED | problems(SignupClosedError, EmailTakenError, TooManyAttemptsError),
)
async def create_user(
    body: UserCreate, users: UserServiceDep, request: Request, response: Response
) -> User:
    """Sign up.

    Creates an account, if ALLOW_SIGNUP is on, and sends a mail to verify the address.
    """
    user = await users.sign_up(body)
    response.headers["Location"] = request.url_for("read_user", user_id=user.id).path
    return user


@router.get("/me")
async def read_me(user: CurrentUser) -> UserRead:
    """Get the current user."""
    return user


@router.patch(
    "/me",
    response_model=UserRead,
    responses=problems(EmailTakenError, TooManyAttemptsError),
)
async def update_me(body: UserUpdate, user: CurrentUser, users: UserServiceDep) -> User:
    """Update the current user.

    A new e-mail address has to be verified.
    """
    return await users.update(user, body)


@router.delete(
    "/me",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, LastSuperuserError, InUseError),
)
async def delete_me(user: CurrentUser, users: UserServiceDep) -> None:
    """Delete the current user and all sessions."""
    await users.delete(user.id)


@router.post(
    "/me/password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(WrongPasswordError, TooManyAttemptsError),
)
async def change_password(
    body: PasswordChange, user_session: CurrentUserSession, users: UserServiceDep
) -> None:
    """Change your password.

    Revokes every other session.
    """
    await users.change_password(user_session, body)


@router.get("", response_model=Page[UserRead], responses=PAGE | problems(ForbiddenError))
async def list_users(
    params: Annotated[UserListParams, Query()],
    _: CurrentSuperuser,
    users: UserReaderDep,
    request: Request,
    response: Response,
) -> object:
    """List users."""
    page = await users.list_users(params)
    add_next_link(request, response, page.next_cursor)
    return page


@router.get("/{user_id}", responses=problems(ForbiddenError, NotFoundError))
async def read_user(user_id: UUID, _: CurrentSuperuser, users: UserReaderDep) -> UserRead:
    """Get a user by ID."""
    return await users.get(user_id)


@router.patch(
    "/{user_id}",
    response_model=UserRead,
    responses=problems(ForbiddenError, NotFoundError, LastSuperuserError),
)
async def update_user(
    user_id: UUID, body: UserAdminUpdate, _: CurrentSuperuser, users: UserServiceDep
) -> User:
    """Update a user's rights.

    Deactivating a user revokes all of their sessions.
    """
    return await users.update_by_admin(user_id, body)


@router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(ForbiddenError, NotFoundError, LastSuperuserError, InUseError),
)
async def delete_user(user_id: UUID, _: CurrentSuperuser, users: UserServiceDep) -> None:
    """Delete a user and all of their sessions."""
    await users.delete(user_id)
