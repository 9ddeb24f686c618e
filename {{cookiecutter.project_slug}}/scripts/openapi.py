"""Keep `openapi.json`, the API that this version promises its clients: `poe openapi`.

With `--check`, compare it with the code instead, and name each change that breaks a client: a part
that was removed, a request that is now rejected, or a response with less than before.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import SecretStr

from app.application import create_app
from app.core.config import ROOT, Settings

PATH = ROOT / "openapi.json"
Schema = Mapping[str, Any]
Direction = Literal["request", "response"]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
UPPER_BOUNDS = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
LOWER_BOUNDS = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
FORMS = ("pattern", "format", "multipleOf", "uniqueItems")


def make_document() -> dict[str, Any]:
    # The defaults, whatever the environment and `.env` say: every route is there.
    settings = Settings.model_construct(secret_key=SecretStr(""))
    document: dict[str, Any] = create_app(settings).openapi()
    return document


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """List each change between two OpenAPI documents that breaks a client of the old one."""
    return list(dict.fromkeys(_Comparison(old, new).changes()))


def _is_public(operation: Schema) -> bool:
    # An empty requirement is one that every request meets.
    security = operation.get("security")
    return not security or {} in security


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._compared: set[tuple[str, str, str]] = set()  # references, of recursive schemas too

    def changes(self) -> Iterator[str]:
        for path, operations in self._old["paths"].items():
            for method in METHODS:
                if (old := operations.get(method)) is None:
                    continue
                new = self._new["paths"].get(path, {}).get(method)
                name = f"{method.upper()} {path}"
                if new is None:
                    yield f"{name}: was removed"
                else:
                    for change in self._operation(old, new):
                        yield f"{name}: {change}"

    def _operation(self, old: Schema, new: Schema) -> Iterator[str]:
        if (was := old["operationId"]) != (now := new["operationId"]):
            yield f"its operationId {was} became {now}"
        if _is_public(old) and not _is_public(new):
            yield "needs authentication now"
        yield from self._parameters(old.get("parameters", []), new.get("parameters", []))
        yield from self._request_body(old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            if status.startswith(("2", "3")):
                if status not in new["responses"]:
                    yield f"no longer answers {status}"
                else:
                    yield from self._response(response, new["responses"][status], status)

    def _parameters(self, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        before = {(parameter["in"], parameter["name"]): parameter for parameter in old}
        after = {(parameter["in"], parameter["name"]): parameter for parameter in new}
        for key, parameter in before.items():
            where = " parameter ".join(key)
            if key not in after:
                yield f"no longer takes the {where}"
            else:
                yield from self._schema(parameter["schema"], after[key]["schema"], where, "request")
        for key, parameter in after.items():
            was_required = before.get(key, {}).get("required", False)
            if parameter.get("required", False) and not was_required:
                yield f"requires the {' parameter '.join(key)}"

    def _request_body(self, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if old is None:
            if new is not None and new.get("required", False):
                yield "requires a body"
        elif new is None:
            yield "no longer takes a body"
        else:
            if new.get("required", False) and not old.get("required", False):
                yield "requires a body"
            yield from self._contents(old, new, "request body", "request")

    def _response(self, old: Schema, new: Schema, status: str) -> Iterator[str]:
        for header in old.get("headers", {}).keys() - new.get("headers", {}).keys():
            yield f"{status} no longer has the header {header}"
        yield from self._contents(old, new, f"{status} response", "response")

    def _contents(
        self, old: Schema, new: Schema, where: str, direction: Direction
    ) -> Iterator[str]:
        contents = new.get("content", {})
        for media_type, content in old.get("content", {}).items():
            if media_type not in contents:
                yield f"{where}: is no longer {media_type}"
            else:
                after = contents[media_type].get("schema", {})
                yield from self._schema(content.get("schema", {}), after, where, direction)

    def _schema(self, old: Schema, new: Schema, where: str, direction: Direction) -> Iterator[str]:
        references = (old.get("$ref", ""), new.get("$ref", ""), direction)
        if all(references):
            # The same schemas elsewhere would only repeat the same changes.
            if references in self._compared:
                return
            self._compared.add(references)
        before, after = _choices(old, self._old), _choices(new, self._new)
        # Whatever a client sends must still be accepted; whatever it gets must be known to it.
        given, known = (before, after) if direction == "request" else (after, before)
        for choice in given:
            attempts = []
            for other in known:
                pair = (choice, other) if direction == "request" else (other, choice)
                attempts.append([*self._choice(*pair, where, direction)])
            yield from min(attempts, key=len)

    def _choice(self, old: Schema, new: Schema, where: str, direction: Direction) -> Iterator[str]:
        if "type" in new and new["type"] != old.get("type"):
            if (old.get("type"), new["type"], direction) not in {
                ("integer", "number", "request"),
                ("number", "integer", "response"),
            }:
                yield f"{where}: {old.get('type', 'any type')} became {new['type']}"
            return
        if "type" in old and "type" not in new and direction == "response":
            yield f"{where}: {old['type']} became any type"
        yield from self._values(old, new, where, direction)
        if direction == "request":
            yield from _bounds(old, new, where)
        yield from self._fields(old, new, where, direction)
        for keyword, place in (("items", "/*"), ("additionalProperties", "/{name}")):
            if isinstance(old.get(keyword), dict) and isinstance(new.get(keyword), dict):
                yield from self._schema(old[keyword], new[keyword], where + place, direction)

    def _values(self, old: Schema, new: Schema, where: str, direction: Direction) -> Iterator[str]:
        before, after = _enum(old), _enum(new)
        if direction == "request" and after is not None:
            if before is None:
                yield f"{where}: takes only {', '.join(map(str, after))}"
            elif lost := [value for value in before if value not in after]:
                yield f"{where}: no longer takes {', '.join(map(str, lost))}"
        if direction == "response" and before is not None:
            if after is None:
                yield f"{where}: may be any value"
            elif added := [value for value in after if value not in before]:
                yield f"{where}: may be {', '.join(map(str, added))}"

    def _fields(self, old: Schema, new: Schema, where: str, direction: Direction) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name in after:
                yield from self._schema(schema, after[name], f"{where}/{name}", direction)
            else:
                yield f"{where}/{name}: was removed"
        required_before, required_after = set(old.get("required", [])), set(new.get("required", []))
        if direction == "request":
            for name in sorted(required_after - required_before):
                yield f"{where}/{name}: is required"
        else:
            for name in sorted((required_before - required_after) & after.keys()):
                yield f"{where}/{name}: may be missing"


def _choices(schema: Schema, document: Schema) -> list[Schema]:
    """Return the alternatives that a schema allows, without references to them."""
    if "$ref" in schema:
        target: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return _choices(target, document)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return [choice for each in alternatives for choice in _choices(each, document)]
    if isinstance(types := schema.get("type"), list):
        return [{**schema, "type": kind} for kind in types]
    return [schema]


def _enum(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _bounds(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for keyword in (*UPPER_BOUNDS, *LOWER_BOUNDS, *FORMS):
        was, now = old.get(keyword), new.get(keyword)
        if now is None or now == was:
            continue
        is_looser = was is not None and (
            (keyword in UPPER_BOUNDS and now > was) or (keyword in LOWER_BOUNDS and now < was)
        )
        if not is_looser:
            yield f"{where}: {keyword} {'' if was is None else f'{was} '}became {now}"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{where}: rejects unknown fields"


def main(arguments: list[str]) -> int:
    new = make_document()
    old = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else None
    if old == new:
        return 0
    breaking = breaking_changes(old, new) if old else []
    if breaking:
        print("Clients of the API in openapi.json break, because of these changes:")
        print("".join(f"  {change}\n" for change in breaking), end="")
    if "--check" in arguments:
        print("openapi.json is out of date: run `poe openapi`, read the difference and commit it.")
        return 1
    PATH.write_text(
        f"{json.dumps(new, indent=2, ensure_ascii=False)}\n", encoding="utf-8", newline="\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
