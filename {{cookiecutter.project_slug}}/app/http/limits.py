"""What a request may be. It is refused before anything parses it.

FastAPI's own `max_body_size` answers in plain text, from outside all middleware.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.http.problems import http_problem_response, unavailable_response

_MAX_URL_BYTES = 32 * 1024
_MAX_HEADER_BYTES = 64 * 1024
# How many times the largest body may be on its way at the same time.
_MAX_BODIES = 64
_LINGER_SECONDS = 2
_MAX_DIGITS = 20
_INSPECTED = {
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"host",
    b"transfer-encoding",
}
# Starlette decodes forms by any codec of Python that a client names. Some take quadratic time.
_CHARSETS = {b"utf-8", b"utf8", b"us-ascii"}


class RejectRequest(Exception):  # noqa: N818 -- no error: the answer to a request that is not let in
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestLimits:
    def __init__(self, settings: Settings) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._body_timeout = settings.body_timeout
        self._arriving_bytes = 0

    def check_head(self, scope: Scope) -> bool:
        """Tell whether there is a body. Raises RejectRequest for a head that no route has to see."""
        if len(scope["path"]) + len(scope["query_string"]) > _MAX_URL_BYTES:
            raise RejectRequest(414)
        size = hosts = 0
        has_body = False
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name not in _INSPECTED:
                continue
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                has_body = value != b"0"
                self._check_length(value)
            elif name == b"transfer-encoding":
                has_body = True
            elif name == b"content-encoding":
                if value.lower() != b"identity":
                    raise RejectRequest(415)
            elif b"charset" in value.lower() and _charset(value) not in _CHARSETS:
                raise RejectRequest(415)
        if size > _MAX_HEADER_BYTES:
            raise RejectRequest(431)
        if hosts != 1 and scope.get("http_version") == "1.1":  # RFC 9112 section 3.2
            raise RejectRequest(400)
        return has_body

    def _check_length(self, content_length: bytes) -> None:
        if not content_length.isdigit():
            raise RejectRequest(400)
        if len(content_length) > _MAX_DIGITS or int(content_length) > self._max_body_bytes:
            raise RejectRequest(413)

    async def read_body(self, receive: Receive) -> Receive:
        """Wait for all of the body, and give what receives it anew.

        Raises RejectRequest, and ClientDisconnect when the client has gone.
        """
        body = bytearray()
        more = True
        try:
            async with asyncio.timeout(self._body_timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk = message.get("body", b"")
                    more = message.get("more_body", False)
                    body += chunk
                    self._arriving_bytes += len(chunk)
                    if len(body) > self._max_body_bytes:
                        raise RejectRequest(413)
                    if self._arriving_bytes > _MAX_BODIES * self._max_body_bytes:
                        raise RejectRequest(503)
        except TimeoutError:
            raise RejectRequest(408) from None
        finally:
            self._arriving_bytes -= len(body)
        return _once(bytes(body), receive)


def _charset(content_type: bytes) -> bytes:
    return parse_options_header(content_type)[1].get(b"charset", b"").lower()


def _once(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read; then wait for the client to go."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_body_first() -> Message:
        nonlocal message
        first, message = message, None
        return first or await receive()

    return receive_body_first


async def reject(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a client that may be sending still. If the connection were closed at once, the client
    would not read the answer (RFC 9112 section 9.6).
    """
    request = Request(scope)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response = unavailable_response(request)
    else:
        response = http_problem_response(request, status)
    response.headers["Connection"] = "close"

    async def send_open(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    await response(scope, receive, send_open)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            more = True
            while more:
                more = (await receive()).get("more_body", False)
                await asyncio.sleep(0)  # others go first
    await send({"type": "http.response.body"})
