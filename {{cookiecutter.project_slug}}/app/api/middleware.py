"""Middleware around every request. Pure ASGI: Starlette's BaseHTTPMiddleware costs ten times more."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request, Response
from pydantic import IPvAnyNetwork
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.middleware import cors
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api.errors import http_problem_response, internal_error_response, unavailable_response
from app.core.exceptions import UnavailableError
from app.core.shutdown import Shutdown

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAX_URL_BYTES = 32 * 1024
_MAX_HEADER_BYTES = 64 * 1024
# How long a request waits for its turn; with what waiting for the database may take (app/db/session.py)
# less than two seconds.
_MAX_WAIT_SECONDS = 0.5
# How many times the largest body may be on its way at the same time.
_MAX_BODIES = 64
_LINGER_SECONDS = 2
_MAX_DIGITS = 20
# Asked every few seconds by load balancers.
_QUIET_PATHS = {"/livez", "/readyz"}
_FORWARDED = {b"x-forwarded-for", b"x-forwarded-proto"}
_INSPECTED = {
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"host",
    b"transfer-encoding",
}
# Starlette decodes forms by any codec of Python that a client names. Some take quadratic time.
_CHARSETS = {b"utf-8", b"utf8", b"us-ascii"}


def _header(message: Scope | Message, name: bytes) -> bytes:
    """Costs less than Starlette's Headers, which decode all of them."""
    for key, value in message["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


class CORSMiddleware(cors.CORSMiddleware):
    """Starlette's, but a preflight request that is refused gets no error in plain text: browsers go
    by the headers, which it lacks.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        return response if response.status_code == HTTPStatus.OK else Response(status_code=204)


class ClientAddressMiddleware:
    """Believes X-Forwarded-For and X-Forwarded-Proto of trusted proxies, and of nobody else.

    uvicorn believes every peer on loopback by itself, behind whom anybody may stand.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: list[IPvAnyNetwork]) -> None:
        self.app = app
        proxies = [str(network) for network in trusted_proxies]
        self.behind_proxy: Any = ProxyHeadersMiddleware(app, proxies)  # type: ignore[arg-type]  # the same protocol, typed in other words
        self.of_uvicorn = ProxyHeadersMiddleware(app).trusted_hosts  # type: ignore[arg-type]  # as above

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not `async`: there is nothing to wait for here, and each coroutine costs every request time.
        if not scope.get("client") or _FORWARDED.isdisjoint(dict(scope["headers"])):
            return self.app(scope, receive, send)
        forwarded = ", ".join(Headers(scope=scope).getlist("x-forwarded-for"))
        if tuple(scope["client"]) == self.of_uvicorn.get_trusted_client_address(forwarded):
            # uvicorn took it from the header, port and all, because the peer was on loopback.
            scope["client"] = ("127.0.0.1", 0)
        answer: Awaitable[None] = self.behind_proxy(scope, receive, send)
        return answer


class RequestContextMiddleware:
    """Gives the request an id, the response its common headers, and the log one line for both."""

    def __init__(self, app: ASGIApp, shutdown: Shutdown) -> None:
        self.app = app
        self.shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offered = _header(scope, b"x-request-id").decode("latin-1")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else str(uuid7())
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                headers.append((b"x-request-id", request_id.encode()))
                headers.append((b"x-content-type-options", b"nosniff"))
                # Answers hold personal data; what may be cached says so itself.
                if not _header(message, b"cache-control"):
                    headers.append((b"cache-control", b"no-store"))
                if self.shutdown.begun:
                    # The next request of this client shall find another process.
                    headers.append((b"connection", b"close"))
            await send(message)

        # Not unbound: servers run each request in a context of its own.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            level = logging.DEBUG if scope["path"] in _QUIET_PATHS else logging.INFO
            if logger.isEnabledFor(level):
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                }
                logger.log(level, "request", extra=fields)


class Refusal(Exception):  # noqa: N818 -- no error: the answer to a request that is not let in
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class GuardMiddleware:
    """Lets a request in when it is fit, and answers for it when nobody else does.

    It refuses what is too large, too slow or can't be read, before anything parses it. FastAPI's own
    `max_body_size` answers in plain text, from outside all other middleware.

    At most *max_concurrent* requests are worked on at a time; the others wait for a moment, in
    order. A request counts from when its body has arrived until its answer begins: slow clients and
    streams take nobody's turn.

    An error that nobody has caught is answered 500. This stands inside the other middleware, so that
    the answer has their headers too; Starlette's own last resort is outermost and has none.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, body_timeout: float, max_concurrent: int
    ) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.body_timeout = body_timeout
        self.slots = asyncio.Semaphore(max_concurrent)
        self.arriving_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = holds_slot = replaced = False

        async def send_checked(message: Message) -> None:
            nonlocal started, holds_slot, replaced
            if not started:
                started = True
                if holds_slot:
                    holds_slot = False
                    self.slots.release()
                if message["status"] >= HTTPStatus.BAD_REQUEST and _is_plain_text(message):
                    replaced = True
                    await _as_problem(message, scope)(scope, receive, send)
            if not replaced:
                await send(message)

        try:
            if self._has_body(scope):
                receive = _once(await self._read_body(receive), receive)
            if scope["path"] not in _QUIET_PATHS:  # whoever asks whether the service is overloaded
                if self.slots.locked():
                    await self._wait_for_slot()
                else:  # a timer would cost more than the rest
                    await self.slots.acquire()
                holds_slot = True
            await self.app(_routed(scope), receive, send_checked)
        except UnavailableError:
            # All of the request has been read, so the connection can stay open. Under load, a new one
            # would wait for seconds to be accepted.
            await unavailable_response(Request(scope))(scope, receive, send)
        except Refusal as refusal:
            await _refuse(refusal.status, scope, receive, send)
        except ClientDisconnect:
            """Nobody is there to be answered."""
        except Exception:
            logger.exception("Unhandled error")
            if started:
                raise
            await internal_error_response(Request(scope))(scope, receive, send)
        finally:
            if holds_slot:
                self.slots.release()

    def _has_body(self, scope: Scope) -> bool:
        """Raises Refusal for a head that no route has to see."""
        if len(scope["path"]) + len(scope["query_string"]) > _MAX_URL_BYTES:
            raise Refusal(414)
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
                    raise Refusal(415)
            elif b"charset" in value.lower() and _charset(value) not in _CHARSETS:
                raise Refusal(415)
        if size > _MAX_HEADER_BYTES:
            raise Refusal(431)
        if hosts != 1 and scope.get("http_version") == "1.1":  # RFC 9112 section 3.2
            raise Refusal(400)
        return has_body

    def _check_length(self, content_length: bytes) -> None:
        if not content_length.isdigit():
            raise Refusal(400)
        if len(content_length) > _MAX_DIGITS or int(content_length) > self.max_body_bytes:
            raise Refusal(413)

    async def _read_body(self, receive: Receive) -> bytes:
        """Raises Refusal, and ClientDisconnect when the client has gone."""
        body = bytearray()
        more = True
        try:
            async with asyncio.timeout(self.body_timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk = message.get("body", b"")
                    more = message.get("more_body", False)
                    body += chunk
                    self.arriving_bytes += len(chunk)
                    if len(body) > self.max_body_bytes:
                        raise Refusal(413)
                    if self.arriving_bytes > _MAX_BODIES * self.max_body_bytes:
                        raise Refusal(503)
        except TimeoutError:
            raise Refusal(408) from None
        finally:
            self.arriving_bytes -= len(body)
        return bytes(body)

    async def _wait_for_slot(self) -> None:
        """Raises UnavailableError when there is none for too long."""
        try:
            await asyncio.wait_for(self.slots.acquire(), _MAX_WAIT_SECONDS)
        except TimeoutError:
            raise UnavailableError(retry_after=1) from None


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


def _routed(scope: Scope) -> Scope:
    """HEAD is answered by the route for GET, unless there is one for it (RFC 9110 section 9.3.2)."""
    if scope["method"] != "HEAD" or any(
        route.matches(scope)[0] is Match.FULL for route in scope["app"].routes
    ):
        return scope
    return {**scope, "method": "GET"}


def _is_plain_text(message: Message) -> bool:
    return _header(message, b"content-type").startswith(b"text/plain")


def _as_problem(message: Message, scope: Scope) -> Response:
    """For errors that Starlette answers by itself, such as those of a range of a file."""
    kept = {
        name.decode(): value.decode("latin-1")
        for name, value in message["headers"]
        if name not in {b"content-length", b"content-type"}
    }
    return http_problem_response(Request(scope), message["status"], kept)


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
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
