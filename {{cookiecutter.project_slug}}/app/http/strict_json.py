"""JSON as RFC 8259 and RFC 7493 have it; Python's own reader takes more than that."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

_FORM_TYPES = {"application/x-www-form-urlencoded", "multipart/form-data"}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that comes twice: two readers may differ in which value they take."""
    if len(members := dict(pairs)) < len(pairs):
        raise ValueError("duplicate name")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            text = body.decode()
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
            if "\\ud" in text.lower():
                # Half of a pair of surrogates is no text: no encoding and no database takes it.
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            # FastAPI answers 422 to this one, and 400 to any other.
            raise json.JSONDecodeError("unreadable", "", 0) from error
        return value


class JSONRoute(APIRoute):
    """The class of all routes that take a body: `APIRouter(route_class=JSONRoute)`.

    One that takes a form refuses other content types, of which FastAPI makes an empty form.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        takes_form = self.body_field is not None and isinstance(self.body_field.field_info, Form)

        async def handle(request: Request) -> Response:
            content_type = request.headers.get("content-type", "").partition(";")[0]
            if takes_form and content_type.strip().lower() not in _FORM_TYPES:
                raise HTTPException(415)
            return await handler(StrictRequest(request.scope, request.receive))

        return handle
