"""Request limits, enforced before anything parses the request.

A body is read before the request takes a slot, within a time limit and a memory budget. A large one
is passed on piece by piece instead.
"""

import asyncio
import re
from contextlib import suppress

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.exceptions import UnavailableError
from app.core.limits import MAX_BUFFERED_BYTES, MAX_HEADER_BYTES, MAX_URL_BYTES
from app.http.problems import app_problem, http_problem

# Starlette decodes forms with any codec that the client names, and some of Python's take quadratic
# time. So a charset has to be one of these.
_UTF_8 = re.compile(rb'charset="?(utf-?8|us-ascii)"?\s*(?=;|$)')
_CHECKED = {b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding"}
_MAX_DIGITS = 20  # converting longer numbers would take quadratic time as well


class RejectRequest(Exception):  # noqa: N818 -- the answer to a request, not a failure
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestLimits:
    """The limits of one process. A request that exceeds one raises RejectRequest."""

    def __init__(self, settings: Settings, max_arriving_bodies: int) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._max_buffered_bytes = min(settings.max_body_bytes, MAX_BUFFERED_BYTES)
        self._body_timeout = settings.body_timeout
        self._max_arriving_bytes = max_arriving_bodies * self._max_buffered_bytes
        self._arriving_bytes = 0

    def check_head(self, scope: Scope) -> int | None:
        """Check the URL and the headers. Return the size of the body, None if it isn't known."""
        if len(scope["path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            raise RejectRequest(414)
        size = hosts = 0
        length: int | None = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name not in _CHECKED:
                continue
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                length = _parse_length(value)
            elif name == b"transfer-encoding":
                length = None
            elif name == b"content-type":
                if b"charset" in value.lower() and b"charset" in _UTF_8.sub(b"", value.lower()):
                    raise RejectRequest(415)
            elif value.lower() != b"identity":
                raise RejectRequest(415)
        if size > MAX_HEADER_BYTES:
            raise RejectRequest(431)
        if hosts != 1 and scope.get("http_version") == "1.1":  # RFC 9112 section 3.2
            raise RejectRequest(400)
        return length

    async def read_body(
        self, receive: Receive, length: int | None, own_limit: int | None
    ) -> tuple[Receive, bool]:
        """Read the body. Return a `receive` that starts with it, and whether the body is complete.

        *own_limit* is the route's. Raises ClientDisconnect when the client has gone.
        """
        limit = self._max_body_bytes if own_limit is None else own_limit
        if (length or 0) > limit:
            raise RejectRequest(413)
        body = bytearray()
        more = True
        is_large = (length or 0) > self._max_buffered_bytes
        try:
            async with asyncio.timeout(self._body_timeout):
                while more and not is_large:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk = message.get("body", b"")
                    more = message.get("more_body", False)
                    body += chunk
                    self._arriving_bytes += len(chunk)
                    if len(body) > limit:
                        raise RejectRequest(413)
                    if self._arriving_bytes > self._max_arriving_bytes:
                        raise RejectRequest(503)
                    is_large = len(body) > self._max_buffered_bytes
        except TimeoutError:
            raise RejectRequest(408) from None
        finally:
            self._arriving_bytes -= len(body)
        rest = self._read_pieces(receive, limit - len(body)) if more else receive
        first: Message | None = {"type": "http.request", "body": bytes(body), "more_body": more}

        async def receive_body_first() -> Message:
            nonlocal first
            message, first = first, None
            return message or await rest()

        return receive_body_first, not more

    def _read_pieces(self, receive: Receive, limit: int) -> Receive:
        """Return a `receive` that waits for each piece of the body for a limited time."""
        more = True

        async def receive_piece() -> Message:
            nonlocal limit, more
            if not more:
                return await receive()
            try:
                async with asyncio.timeout(self._body_timeout):
                    message = await receive()
            except TimeoutError:
                raise _rejection(408) from None
            more = message.get("more_body", False)
            limit -= len(message.get("body", b""))
            if limit < 0:
                raise _rejection(413)
            return message

        return receive_piece


def _rejection(status: int) -> HTTPException:
    # FastAPI lets an HTTPException through while it parses a body.
    return HTTPException(status, headers={"Connection": "close"})


def _parse_length(content_length: bytes) -> int:
    if not content_length.isdigit():
        raise RejectRequest(400)
    if len(content_length) > _MAX_DIGITS:
        raise RejectRequest(413)
    return int(content_length)


async def reject(status: int, scope: Scope, receive: Receive, send: Send, linger: float) -> None:
    """Answer a client that may still be sending, and read on for *linger* seconds.

    If the connection were closed at once, the client might not see the response (RFC 9112
    section 9.6).
    """
    if status == 503:
        response = app_problem(scope, UnavailableError(retry_after=1))
    else:
        response = http_problem(scope, status)
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(linger):
            more = True
            while more:
                more = (await receive()).get("more_body", False)
                await asyncio.sleep(0)  # a fast sender must not starve other requests
    await send({"type": "http.response.body"})
