"""Errors of a body name places in the body that was sent (RFC 6901)."""

from typing import Annotated, Any, Literal

import httpx2
import pytest
from fastapi import Body, FastAPI, Form
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Json,
    Tag,
    model_validator,
)

from app.http.strict_json import JSONRoute
from tests.support import assert_invalid

SECRET = "s3cr3t"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["dog"] = "dog"
    bark: int
    friend: "Pet | None" = None


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Wolf(BaseModel):
    pet: Pet


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    full_name: Annotated[int, Field(alias="fullName")]
    nested: Annotated[int, Field(validation_alias=AliasPath("deep", "list", 0))] = 1
    choice: Annotated[int, Field(validation_alias=AliasChoices("first", "second"))] = 1


class Whole(BaseModel):
    a: int = 0

    @model_validator(mode="after")
    def _check(self) -> "Whole":
        if self.a == 7:
            raise ValueError("must not be seven")
        return self


def reject(value: int) -> int:
    raise ValueError("must be even")


def kind_of(value: Any) -> str:
    return str(value.get("kind")) if isinstance(value, dict) else "none"


Tagged = Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(kind_of)]

CASES: list[tuple[Any, Any, list[str]]] = [
    (Pet, {"kind": "cat"}, ["/lives"]),
    (Pet, {"kind": "cat", "lives": "x"}, ["/lives"]),
    (list[Pet], [{"kind": "cat", "lives": 9}, {"kind": "dog"}], ["/1/bark"]),
    (Pet, {"kind": SECRET}, [""]),
    (Pet, {}, [""]),
    (Pet, {"kind": "dog", "bark": 1, "x/~y": 1}, ["/x~1~0y"]),
    (Pet, {"kind": "dog", "bark": 1, "friend": {"kind": "cat", "lives": "x"}}, ["/friend/lives"]),
    # The tag is also the name of a field.
    (Pet, {"kind": "cat", "cat": {"lives": 1}}, ["/lives"]),
    (Pet, {"kind": "cat", "lives": "x", "cat": {"lives": "y"}}, ["/lives"]),
    (Tagged, {"kind": "dog"}, ["/bark"]),
    (Wolf, {"pet": {"kind": "cat", "lives": None}}, ["/pet/lives"]),
    (Cat | Dog, {"kind": "dog", "bark": "x"}, ["/kind", "/lives", "/bark"]),
    (int | list[int], [1, "x"], ["", "/1"]),
    (list[int | list[Pet]], [[{"kind": "dog"}]], ["/0", "/0/0/bark"]),
    (dict[str, Pet], {"a/b~c": {"kind": "cat"}}, ["/a~1b~0c/lives"]),
    (dict[int, int], {"x": 1}, ["/x"]),
    (dict[Annotated[str, Field(max_length=2)], int], {"long": "x"}, ["/long", "/long"]),
    (tuple[int, str], [1], ["/1"]),
    (Annotated[int, AfterValidator(reject)], 3, [""]),
    (list[Annotated[int, AfterValidator(reject)] | None], [None, 3], ["/1"]),
    (dict[str, Annotated[dict[str, int], BeforeValidator(dict)]], {"a": {"b": "x"}}, ["/a/b"]),
    (Aliased, {}, ["/fullName"]),
    (Aliased, {"fullName": "x"}, ["/fullName"]),
    (Aliased, {"full_name": "x"}, ["/full_name"]),
    (Aliased, {"fullName": 1, "deep": {"list": ["x"]}}, ["/deep/list/0"]),
    (Aliased, {"fullName": 1, "second": "x"}, ["/second"]),
    (Whole, {"a": 7}, [""]),
    (list[Whole], [{"a": 1}, {"a": 7}], ["/1"]),
    (dict[str, Json[dict[str, int]]], {"data": '{"a": "x"}'}, ["/data"]),
    (Annotated[dict[str, Annotated[set[int], Field()]], Body()], {"a": [1, "x"]}, ["/a/1"]),
]


@pytest.mark.parametrize(("kind", "body", "pointers"), CASES)
async def test_pointer_is_a_place_in_the_body(
    app: FastAPI, client: httpx2.AsyncClient, kind: Any, body: Any, pointers: list[str]
) -> None:
    async def take(body: Any) -> None:
        """Take the body."""

    take.__annotations__["body"] = Annotated[kind, Body()]
    app.router.add_api_route(
        "/take", take, methods=["POST"], include_in_schema=False, route_class_override=JSONRoute
    )
    response = await client.post("/take", json=body)
    assert_invalid(response, *pointers)
    assert SECRET not in response.text


async def test_body_of_several_parameters(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/several", include_in_schema=False)
    async def several(pet: Annotated[Pet, Body()], count: Annotated[int, Body()]) -> None:
        """Take both."""

    response = await client.post("/several", json={"pet": {"kind": "cat"}})
    assert_invalid(response, "/pet/lives", "/count")
    assert_invalid(await client.post("/several", json=[]), "/pet", "/count")


async def test_field_of_a_form(app: FastAPI, client: httpx2.AsyncClient) -> None:
    @app.post("/form", include_in_schema=False)
    async def form(ages: Annotated[list[int], Form()], name: Annotated[str, Form()]) -> None:
        """Take both."""

    assert_invalid(await client.post("/form", data={"ages": ["1", "x"]}), "/ages", "/name")


class Tree(BaseModel):
    tree: "Tree | int"


async def test_body_that_fits_in_many_ways_is_answered_at_once(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    @app.post("/tree", include_in_schema=False)
    async def tree(tree: Tree) -> None:
        """Take a tree."""

    body: dict[str, Any] = {"tree": "x"}
    for _ in range(30):
        body = {"tree": body}
    response = await client.post("/tree", json=body)
    assert response.status_code == 422
    pointers = {error["pointer"] for error in response.json()["errors"]}
    assert "/tree" * 31 in pointers
