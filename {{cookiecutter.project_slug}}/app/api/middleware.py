"""Middleware around every request. Pure ASGI: Starlette's BaseHTTPMiddleware costs ten times more."""

import asyncio
import logging
import re
import time
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request, Response
from pydantic import IPvAnyNetwork
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import cors
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api.errors import http_problem_response, internal_error_response, unavailable_response
from app.core.shutdown import Shutdown

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAX_URL_BYTES = 32 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_MAX_WAIT_SECONDS = 1
# Asked every few seconds by load balancers.
_QUIET_PATHS = {"/livez", "/readyz"}
_FORWARDED = {b"x-forwarded-for", b"x-forwarded-proto"}


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope.get("client") or _FORWARDED.isdisjoint(dict(scope["headers"])):
            await self.app(scope, receive, send)
            return
        forwarded = ", ".join(Headers(scope=scope).getlist("x-forwarded-for"))
        if tuple(scope["client"]) == self.of_uvicorn.get_trusted_client_address(forwarded):
            # uvicorn took it from the header, port and all, because the peer was on loopback.
            scope["client"] = ("127.0.0.1", 0)
        await self.behind_proxy(scope, receive, send)


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


class LimitsMiddleware:
    """Refuses a request that is too large, before anything parses it, too slow, or one too many.

    A body is refused by its Content-Length, or else while it comes in. FastAPI's own `max_body_size`
    answers in plain text, from outside all other middleware.

    At most *max_concurrent* requests are worked on at a time; the others wait for a moment, in
    order. A request counts until its answer begins: streams may go on.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, body_timeout: float, max_concurrent: int
    ) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.body_timeout = body_timeout
        self.slots = asyncio.Semaphore(max_concurrent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if status := self._refusal(scope):
            await http_problem_response(Request(scope), status)(scope, receive, send)
            return
        receive = self._within_limits(receive)
        if scope["path"] in _QUIET_PATHS:  # whoever asks whether the service is overloaded
            await self.app(scope, receive, send)
            return
        if not await self._slot():
            await unavailable_response(Request(scope))(scope, receive, send)
            return
        begun = False

        async def send_and_release(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                self.slots.release()
            await send(message)

        try:
            await self.app(scope, receive, send_and_release)
        finally:
            if not begun:
                self.slots.release()

    async def _slot(self) -> bool:
        if not self.slots.locked():  # a timer would cost more than the rest
            return await self.slots.acquire()
        try:
            return await asyncio.wait_for(self.slots.acquire(), _MAX_WAIT_SECONDS)
        except TimeoutError:
            return False

    def _refusal(self, scope: Scope) -> int | None:
        if len(scope["path"]) + len(scope["query_string"]) > _MAX_URL_BYTES:
            return 414
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"content-length" and int(value) > self.max_body_bytes:
                return 413
        return 431 if size > _MAX_HEADER_BYTES else None

    def _within_limits(self, receive: Receive) -> Receive:
        received = 0
        complete = False
        deadline = 0.0

        async def receive_within_limits() -> Message:
            nonlocal received, complete, deadline
            if complete:  # what comes now is that the client has gone, whenever that will be
                return await receive()
            deadline = deadline or asyncio.get_running_loop().time() + self.body_timeout
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise HTTPException(413)
            complete = not message.get("more_body", False)
            return message

        return receive_within_limits


class LastResortMiddleware:
    """Answers 500 where nobody else did. It stands inside the other middleware, so that this answer
    has their headers too; Starlette's own last resort is outermost and has none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception:
            logger.exception("Unhandled error")
            if started:
                raise
            await internal_error_response(Request(scope))(scope, receive, send)
