"""Who may ask for what. A route that stands in neither list is for superusers alone."""

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx2
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

# Routes that anybody may call, without a token.
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
# Routes for every signed-in user. They give and change what belongs to this user.
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


def names(app: FastAPI) -> set[str]:
    # What has no name can't be listed, and has to refuse.
    return {route.name or "" for route in iter_route_contexts(app.routes)}


def requests_to_all(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Name, method and URL, for each method of each route; also for those outside of /docs."""
    for route in iter_route_contexts(app.routes):
        assert route.methods or route.name in PUBLIC, "this test can ask for HTTP routes only"
        for method in route.methods or ():
            yield route.name or "", method, re.sub(r"{.*?}", str(uuid4()), route.path or "")


def test_lists_name_routes_that_exist(app: FastAPI) -> None:
    assert names(app) >= PUBLIC | SIGNED_IN


async def test_every_route_needs_a_token_unless_listed(
    client: httpx2.AsyncClient, app: FastAPI
) -> None:
    for name, method, url in requests_to_all(app):
        response = await client.request(method, url)
        assert (response.status_code == 401) == (name not in PUBLIC), name


async def test_every_route_needs_a_superuser_unless_listed(
    client: httpx2.AsyncClient, app: FastAPI, user_headers: dict[str, str]
) -> None:
    for name, method, url in requests_to_all(app):
        if name not in PUBLIC | SIGNED_IN:
            response = await client.request(method, url, headers=user_headers)
            assert response.status_code == 403, name


def test_document_tells_which_routes_need_a_token(app: FastAPI) -> None:
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            assert bool(operation.get("security")) == (operation["operationId"] not in PUBLIC)
