"""`poe openapi`: it knows which changes of the API break a client."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from scripts import openapi
from scripts.openapi import breaking_changes, main, make_document

THING = "#/components/schemas/Thing"
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/things": {
            "post": {
                "operationId": "create_thing",
                "security": [],
                "parameters": [
                    {"in": "query", "name": "q", "schema": {"type": "string", "maxLength": 9}}
                ],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": THING}}},
                },
                "responses": {
                    "201": {
                        "headers": {"Location": {}},
                        "content": {"application/json": {"schema": {"$ref": THING}}},
                    },
                    "404": {"content": {"application/problem+json": {}}},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "parts": {"type": "array", "items": {"$ref": THING}},
                },
                "required": ["id"],
            }
        }
    },
}
OPERATION = "POST /things: "


def change(path: str, *value: Any) -> dict[str, Any]:
    """Return the document with another value at *path*, or without one."""
    document = deepcopy(DOCUMENT)
    place: Any = document
    *names, last = path.split()
    for name in names:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value:
        place[last] = value[0]
    else:
        del place[last]
    return document


POST = "paths /things post"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (change("paths /things"), ["was removed"]),
        (change(POST), ["was removed"]),
        (change(f"{POST} operationId", "x"), ["its operationId create_thing became x"]),
        (change(f"{POST} security", [{"Token": []}]), ["needs authentication now"]),
        (change(f"{POST} parameters", []), ["no longer takes the query parameter q"]),
        (change(f"{POST} parameters 0 required", True), ["requires the query parameter q"]),
        (
            change(f"{POST} parameters 0 schema maxLength", 8),
            ["query parameter q: maxLength 9 became 8"],
        ),
        (change(f"{POST} requestBody"), ["no longer takes a body"]),
        (change(f"{POST} requestBody required", True), ["requires a body"]),
        (
            change(f"{POST} requestBody content", {"text/plain": {}}),
            ["request body: is no longer application/json"],
        ),
        (change(f"{POST} responses 201"), ["no longer answers 201"]),
        (change(f"{POST} responses 201 headers"), ["201 no longer has the header Location"]),
        (
            change("components schemas Thing properties id"),
            ["request body/id: was removed", "201 response/id: was removed"],
        ),
        (
            change("components schemas Thing properties id type", "string"),
            [
                "request body/id: integer became string",
                "201 response/id: integer became string",
            ],
        ),
        (change("components schemas Thing required", []), ["201 response/id: may be missing"]),
        (
            change("components schemas Thing required", ["id", "parts"]),
            ["request body/parts: is required"],
        ),
        # These break nobody.
        (DOCUMENT, []),
        (change(f"{POST} responses 404"), []),
        (change(f"{POST} security", [{"Token": []}, {}]), []),
        (change(f"{POST} parameters 0 schema maxLength", 10), []),
        (change(f"{POST} parameters 0 schema maxLength"), []),
        (change("components schemas Thing properties name", {"type": "string"}), []),
        (change("paths /others", {"get": {}}), []),
    ],
)
def test_change_that_breaks_clients_is_named(new: dict[str, Any], expected: list[str]) -> None:
    assert breaking_changes(DOCUMENT, new) == [OPERATION + text for text in expected]


def test_body_that_becomes_required_is_named() -> None:
    old = change(f"{POST} requestBody")
    assert breaking_changes(old, DOCUMENT) == []
    new = change(f"{POST} requestBody required", True)
    assert breaking_changes(old, new) == [f"{OPERATION}requires a body"]


STRING, NULL, NUMBER = {"type": "string"}, {"type": "null"}, {"type": "number"}
LETTERS = {"enum": ["a", "b"]}


@pytest.mark.parametrize(
    ("old", "new", "in_request", "in_response"),
    [
        (STRING, STRING | {"enum": ["a"]}, ["takes only a"], []),
        (LETTERS, {"const": "a"}, ["no longer takes b"], []),
        (LETTERS, {"enum": ["a", "b", "c"]}, [], ["may be c"]),
        (LETTERS, {}, [], ["may be any value"]),
        ({}, STRING, ["any type became string"], ["any type became string"]),
        (STRING, {}, [], ["string became any type"]),
        (STRING, {"anyOf": [STRING, NULL]}, [], ["string became null"]),
        ({"anyOf": [STRING, NULL]}, STRING, ["null became string"], []),
        ({"type": ["string", "null"]}, {"oneOf": [NULL, STRING]}, [], []),
        ({"type": "integer"}, NUMBER, [], ["integer became number"]),
        (NUMBER, {"type": "integer"}, ["number became integer"], []),
        (STRING, STRING | {"minLength": 1}, ["minLength became 1"], []),
        (STRING | {"minLength": 2}, STRING | {"minLength": 1}, [], []),
        (STRING | {"pattern": "a"}, STRING | {"pattern": "b"}, ["pattern a became b"], []),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, ["rejects"], []),
        (
            {"type": "array", "items": STRING},
            {"type": "array", "items": NUMBER},
            ["/*: string became number"],
            ["/*: string became number"],
        ),
        (
            {"additionalProperties": STRING},
            {"additionalProperties": NUMBER},
            ["/{name}: string became number"],
            ["/{name}: string became number"],
        ),
    ],
)
def test_schema_is_compared_by_what_clients_send_and_get(
    old: Any, new: Any, in_request: list[str], in_response: list[str]
) -> None:
    for path, expected in (
        (f"{POST} parameters 0 schema", in_request),
        (f"{POST} responses 201 content application/json schema", in_response),
    ):
        found = breaking_changes(change(path, old), change(path, new))
        assert len(found) == len(expected)
        for text, start in zip(found, expected, strict=True):
            assert start in text


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(openapi, "PATH", tmp_path / "openapi.json")
    return tmp_path / "openapi.json"


def test_document_is_written_and_then_up_to_date(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == make_document()
    capsys.readouterr()
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_check_names_what_breaks_and_what_to_do(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = make_document()
    old["paths"]["/gone"] = {"get": {"operationId": "gone", "responses": {}}}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert main(["--check"]) == 1
    output = capsys.readouterr().out
    assert "  GET /gone: was removed\n" in output
    assert "run `poe openapi`" in output
    assert main([]) == 0  # the owner wants it
    assert main(["--check"]) == 0


def test_document_has_every_route_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = make_document()
    for name, value in {"EMAIL_ENABLED": "false", "ROOT_PATH": "/x", "ENVIRONMENT": "?"}.items():
        monkeypatch.setenv(name, value)
    assert make_document() == document
