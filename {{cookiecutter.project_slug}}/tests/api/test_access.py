"""Access to routes. A route that stands in no list is for superusers only."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.dependencies import current_user
from app.dependencies.current_user import CurrentUser, OptionalUser
from tests.support import UserClient, assert_problem

# Routes that anybody may call without signing in, of any method.
PUBLIC = {
    "openapi",
    "docs",
    "docs-assets",
    "livez",
    "readyz",
    "create_user",
    "create_token",
    "refresh_token",
    "request_email_verification",
    "verify_email",
    "request_password_reset",
    "reset_password",
}
# Routes that anybody may call, and that show more to signed-in users.
OPTIONAL_SIGN_IN: set[str] = set()
# Routes for every signed-in user. They show and change what belongs to this user.
SIGNED_IN = {
    "log_out",
    "log_out_everywhere",
    "read_me",
    "update_me",
    "delete_me",
    "change_password",
    "list_user_sessions",
    "revoke_user_session",
}
FILE = "tests/api/test_access.py"


class Call(NamedTuple):
    name: str
    method: str
    url: str

    def __str__(self) -> str:
        return f"{self.method} {self.url} (route {self.name!r})"


def calls(app: FastAPI) -> Iterator[Call]:
    """Yield a call for each method of each route, also of those that /docs doesn't show."""
    for route in iter_route_contexts(app.routes):
        # A route without a name can't be listed.
        name = route.name or ""
        assert route.methods or name in PUBLIC, (
            f"{name!r} is not an HTTP route, so this test can't call it; if anybody may use it, "
            f"add {name!r} to PUBLIC in {FILE}"
        )
        for method in sorted(route.methods or ()):
            yield Call(name, method, re.sub(r"{.*?}", _example, route.path or ""))


def _example(parameter: re.Match[str]) -> str:
    """Return a value for a parameter of a path, such as `{order_id}` or `{number:int}`."""
    return "1" if parameter[0].endswith((":int}", ":float}")) else str(uuid4())


async def status_of(client: httpx2.AsyncClient, call: Call) -> int:
    response = await client.request(call.method, call.url)
    if response.status_code == 415:  # a route that takes a form
        response = await client.request(call.method, call.url, data={"field": "value"})
    return response.status_code


async def find_wrong_access(client: httpx2.AsyncClient, app: FastAPI) -> list[str]:
    """Compare the answers to requests without a token with the lists."""
    problems = []
    for call in calls(app):
        status = await status_of(client, call)
        if call.name in PUBLIC | OPTIONAL_SIGN_IN:
            if status == 401:
                problems.append(
                    f"{call} answers 401 without a token: make it public, or remove {call.name!r} from "
                    f"PUBLIC or OPTIONAL_SIGN_IN in {FILE}"
                )
        elif status != 401:
            problems.append(
                f"{call} answers {status} without a token: let it take CurrentUser, or if anybody "
                f"may call it, add {call.name!r} to PUBLIC or OPTIONAL_SIGN_IN in {FILE}"
            )
    return problems


async def find_missing_superuser_checks(user: UserClient, app: FastAPI) -> list[str]:
    """List the unlisted routes that an ordinary user may call."""
    problems = []
    for call in calls(app):
        if call.name not in PUBLIC | OPTIONAL_SIGN_IN | SIGNED_IN:
            status = await status_of(user, call)
            if status != 403:
                problems.append(
                    f"{call} answers {status} to an ordinary user: let it take CurrentSuperuser, "
                    f"or if every user may call it, add {call.name!r} to SIGNED_IN in {FILE}"
                )
    return problems


def test_lists_name_existing_routes(app: FastAPI) -> None:
    listed = PUBLIC | OPTIONAL_SIGN_IN | SIGNED_IN
    unknown = listed - {route.name for route in iter_route_contexts(app.routes)}
    assert not unknown, f"no route has this name; remove it from the lists in {FILE}: {unknown}"


def test_lists_do_not_overlap() -> None:
    lists = [PUBLIC, OPTIONAL_SIGN_IN, SIGNED_IN]
    assert len(set().union(*lists)) == sum(len(names) for names in lists)


async def test_unlisted_route_needs_a_token(client: httpx2.AsyncClient, app: FastAPI) -> None:
    assert await find_wrong_access(client, app) == []


async def test_unlisted_route_needs_a_superuser(ada: UserClient, app: FastAPI) -> None:
    assert await find_missing_superuser_checks(ada, app) == []


def find_wrong_security(app: FastAPI) -> list[str]:
    """Compare the OpenAPI document with the lists."""
    problems = []
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            name, security = operation["operationId"], operation.get("security", [])
            needs_token, is_open = any(security), not all(security) or not security
            expected = (name not in PUBLIC, name in PUBLIC | OPTIONAL_SIGN_IN)
            if (needs_token, is_open) != expected:
                problems.append(
                    f"the OpenAPI document says security={security} for route {name!r}, which "
                    f"disagrees with the lists in {FILE}; a route of OPTIONAL_SIGN_IN takes "
                    "OptionalUser and `openapi_extra=OPTIONAL_SIGN_IN` (app/dependencies/current_user.py)"
                )
    return problems


def test_openapi_document_agrees_with_the_lists(app: FastAPI) -> None:
    assert find_wrong_security(app) == []


async def test_forgotten_checks_are_found(
    app: FastAPI,
    client: httpx2.AsyncClient,
    ada: UserClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @app.get("/open", include_in_schema=False)
    async def open_to_all() -> None:
        """Take no user."""

    @app.get("/half-open", include_in_schema=False)
    async def open_to_users(_: CurrentUser) -> None:
        """Take any user."""

    (problem,) = await find_wrong_access(client, app)
    assert problem.startswith("GET /open (route 'open_to_all') answers 200 without a token")
    problems = await find_missing_superuser_checks(ada, app)
    assert [problem.partition(" (")[0] for problem in problems] == ["GET /open", "GET /half-open"]
    monkeypatch.setattr(f"{__name__}.PUBLIC", PUBLIC | {"open_to_all", "open_to_users"})
    (problem,) = await find_wrong_access(client, app)
    assert problem.startswith("GET /half-open (route 'open_to_users') answers 401 without a token")


async def test_sign_in_can_be_optional(
    app: FastAPI, client: httpx2.AsyncClient, ada: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.get("/greeting", openapi_extra=current_user.OPTIONAL_SIGN_IN)
    async def greet(user: OptionalUser) -> str:
        return user.email if user else "stranger"

    @app.get("/forgotten")
    async def greet_without_saying_so(user: OptionalUser) -> None:
        """Leave out `openapi_extra`."""

    names = {"greet", "greet_without_saying_so"}
    monkeypatch.setattr(f"{__name__}.OPTIONAL_SIGN_IN", OPTIONAL_SIGN_IN | names)
    assert (await client.get("/greeting")).json() == "stranger"
    assert (await ada.get("/greeting")).json() == ada.email
    wrong = {"Authorization": "Bearer wrong"}
    assert_problem(await client.get("/greeting", headers=wrong), 401, "not-authenticated")
    operation = app.openapi()["paths"]["/greeting"]["get"]
    assert operation["security"] == [{"OAuth2PasswordBearer": []}, {}]
    assert await find_wrong_access(client, app) == []
    (problem,) = find_wrong_security(app)
    assert "'greet_without_saying_so'" in problem
