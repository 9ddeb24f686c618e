"""Bodies are strict JSON."""

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from app.http.strict_json import JSONRoute
from tests.support import USERS, assert_problem

VALID = b'"email": "ada@example.com", "password": "correct horse battery"'


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{", ""),
        (b"", ""),
        (b"[]", ""),
        (b'{"email": "secret', ""),
        (b"{%b, %b}" % (VALID, VALID), ""),
        (b'{%b, "full_name": NaN}' % VALID, ""),
        (b'{%b, "full_name": -Infinity}' % VALID, ""),
        (b'{%b, "full_name": 1e999}' % VALID, "/full_name"),
        (b'{%b, "full_name": -1e400}' % VALID, "/full_name"),
        (b'{%b, "full_name": -1.5}' % VALID, "/full_name"),
        (b'{%b, "x": [{}, [1, {"~/": 1e400}]]}' % VALID, "/x/1/1/~0~1"),
        (b'{%b, "full_name": %b}' % (VALID, b"9" * 5000), "/full_name"),
        (b'{%b, "full_name": 9223372036854775808}' % VALID, "/full_name"),
        (b'{%b, "full_name": %b}' % (VALID, b"[" * 100_000), ""),
        (b'{%b, "full_name": "\\u0000"}' % VALID, "/full_name"),
        (b'{%b, "full_name": "\\ud800"}' % VALID, ""),
        (b'{%b, "full_name": "\\ud83d\\ude00", "x": 1}' % VALID, "/x"),
        (b'{%b, "full_name": "\xff"}' % VALID, ""),
        (b'{%b, "full_name": "%b"}' % (VALID, b"x" * 201), "/full_name"),
        (b'{%b, "a/~b": 1}' % VALID, "/a~1~0b"),
        ((b"{%b}" % VALID).decode().encode("utf-16"), ""),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ""),
    ],
)
async def test_bad_json_is_422_with_a_pointer(
    client: httpx2.AsyncClient, body: bytes, pointer: str
) -> None:
    response = await client.post(USERS, content=body, headers={"Content-Type": "application/json"})
    problem = assert_problem(response, 422, "validation-error")
    assert problem["errors"][0]["pointer"] == pointer
    assert "secret" not in response.text


async def test_every_route_with_a_body_is_strict(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.body_field is not None:
            assert isinstance(route, JSONRoute), f"{route.path}: its router is not a `Router`"
