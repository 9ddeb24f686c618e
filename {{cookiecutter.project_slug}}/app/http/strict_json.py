"""Strict JSON (RFC 8259, RFC 7493): rejects what Python's `json` tolerates."""

import json
from collections.abc import Callable, Coroutine, Iterator
from math import inf
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute


class _NumberError(json.JSONDecodeError):
    """A number doesn't fit into 64 bits. *body* has infinity in its place."""

    def __init__(self, body: Any) -> None:
        super().__init__("unreadable", "", 0)
        self.body = body


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers differ in which of two values they take.
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("duplicate name")
    return fields


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _find_infinity(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, float) and value in {inf, -inf}:
        yield path
    items = value.items() if isinstance(value, dict) else ()
    for name, item in enumerate(value) if isinstance(value, list) else items:
        yield from _find_infinity(item, *path, name)


class StrictRequest(Request):
    _has_large_number = False

    async def json(self) -> Any:
        body = await self.body()
        try:
            text = body.decode()
            value = json.loads(
                text,
                object_pairs_hook=_unique_names,
                parse_constant=_reject_constant,
                parse_float=self._parse_float,
                parse_int=self._parse_int,
            )
            if "\\ud" in text.lower():
                # A lone surrogate is not text: encoding it fails, here or in the database.
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            # FastAPI turns this error into a 422, and any other into a 400.
            raise json.JSONDecodeError("unreadable", "", 0) from error
        if self._has_large_number:
            raise _NumberError(value)
        return value

    def _parse_float(self, text: str) -> float:
        number = float(text)
        if number in {inf, -inf}:
            self._has_large_number = True
        return number

    def _parse_int(self, text: str) -> float:
        # Other programs read larger ones as floats, and no integer column can store them.
        if len(text) <= 20 and (number := int(text)).bit_length() < 64:
            return number
        self._has_large_number = True
        return inf


class JSONRoute(APIRoute):
    """The class of all routes that take a body. `Router` (app/http/router.py) has it by default."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except RequestValidationError as error:
                if isinstance(cause := error.__cause__, _NumberError):
                    raise _large_numbers(cause.body) from None
                raise

        return handle


def _large_numbers(body: Any) -> RequestValidationError:
    errors = [
        {
            "type": "finite_number",
            "loc": ("body", *path),
            "msg": "",
            "input": inf,
        }
        for path in _find_infinity(body)
    ]
    return RequestValidationError(errors, body=body)
