"""Bodies of other types than a route takes, and forms."""

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.params import Form
from fastapi.routing import APIRoute, iter_route_contexts

from app.http.forms import FormBody
from tests.support import (
    AUTH,
    PASSWORD,
    USERS,
    assert_problem,
    sign_up_body,
)


async def test_password_never_comes_back(client: httpx2.AsyncClient) -> None:
    body = sign_up_body("ada") | {"password2": PASSWORD}
    response = await client.post(USERS, json=body)
    assert_problem(response, 422, "validation-error")
    assert PASSWORD not in response.text


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_other_content_type_than_json_is_415(
    client: httpx2.AsyncClient, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post(USERS, content=b'{"email": "secret"}', headers=headers)
    assert_problem(response, 415, "unsupported-media-type")
    assert "secret" not in response.text


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
FILE = b'--x\r\nContent-Disposition: form-data; name="username"; filename="a"\r\n\r\nb\r\n--x--\r\n'
MANY_FIELDS = b"&".join(b"x%d=" % number for number in range(2000))


@pytest.mark.parametrize(
    ("content_type", "body", "status", "problem"),
    [
        (FORM, b"", 422, "validation-error"),
        (FORM, b"username=ada", 422, "validation-error"),
        (FORM, b"username=%00&password=%00", 401, "wrong-credentials"),
        (FORM, b"username=%ff%fe&password=%ff", 401, "wrong-credentials"),
        (FORM, b"username=%zz&password=%", 401, "wrong-credentials"),
        (FORM, b"username=ada&password=" + b"x" * 100_000, 401, "wrong-credentials"),
        (FORM, MANY_FIELDS, 400, "bad-request"),
        (f"{FORM}; charset=UTF-8", b"username=ada&password=x", 401, "wrong-credentials"),
        (f'{FORM}; charset="utf8"; x=y', b"username=ada&password=x", 401, "wrong-credentials"),
        (f"{FORM}; charset=klingon", b"username=ada&password=x", 415, "unsupported-media-type"),
        (f"{FORM}; charset=utf-8-sig", b"username=ada&password=x", 415, "unsupported-media-type"),
        (f"{FORM}; charset*=utf-8''utf-7", b"username=a", 415, "unsupported-media-type"),
        (f"{FORM}; charset=utf-8; Charset=utf-7", b"", 415, "unsupported-media-type"),
        (f"{MULTIPART}; charset=punycode", FILE, 415, "unsupported-media-type"),
        ("application/json", b'{"username": "ada"}', 415, "unsupported-media-type"),
        ("application/json; charset=utf-16", b"{}", 415, "unsupported-media-type"),
        (MULTIPART, b"nothing of the kind", 400, "bad-request"),
        (MULTIPART, FILE, 422, "validation-error"),
        ("multipart/form-data", FILE, 400, "bad-request"),
    ],
)
async def test_bad_form_is_a_problem(
    client: httpx2.AsyncClient, content_type: str, body: bytes, status: int, problem: str
) -> None:
    headers = {"Content-Type": content_type}
    response = await client.post(f"{AUTH}/token", content=body, headers=headers)
    assert_problem(response, status, problem)
    assert "klingon" not in response.text


async def test_every_form_has_its_check(app: FastAPI) -> None:
    forms = [
        route
        for context in iter_route_contexts(app.routes)
        if isinstance(route := context.original_route, APIRoute)
        and route.body_field is not None
        and isinstance(route.body_field.field_info, Form)
    ]
    assert "create_token" in {route.name for route in forms}
    for route in forms:
        assert FormBody in route.dependencies, (
            f"route {route.name!r} takes a form: give it `dependencies=[FormBody]` (app/http/forms.py)"
        )
