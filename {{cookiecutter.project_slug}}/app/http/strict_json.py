"""Strict JSON (RFC 8259, RFC 7493): rejects what Python's `json` tolerates."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers differ in which of two values they take.
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("duplicate name")
    return fields


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            text = body.decode()
            value = json.loads(
                text, object_pairs_hook=_unique_names, parse_constant=_reject_constant
            )
            if "\\ud" in text.lower():
                # A lone surrogate is not text: encoding it fails, here or in the database.
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            # FastAPI turns this error into a 422, and any other into a 400.
            raise json.JSONDecodeError("unreadable", "", 0) from error
        return value


class JSONRoute(APIRoute):
    """The class of all routes that take a body: `APIRouter(route_class=JSONRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return handle
