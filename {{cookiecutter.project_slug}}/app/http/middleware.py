"""Middleware around every request. Pure ASGI: Starlette's BaseHTTPMiddleware costs ten times more."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.middleware import cors
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.core.config import Settings
from app.core.exceptions import UnavailableError
from app.core.logging import request_id_var
from app.http.limits import RejectRequest, RequestLimits, reject
from app.http.problems import http_problem_response, internal_error_response, unavailable_response
from app.http.shutdown import shutdown

RawHeaders = list[tuple[bytes, bytes]]

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# How long a request waits for its turn; with what waiting for the database may take (app/db/session.py)
# less than two seconds.
_MAX_WAIT_SECONDS = 0.5
# Asked every few seconds by load balancers.
_QUIET_PATHS = {"/livez", "/readyz"}
_FIRST_ERROR = int(HTTPStatus.BAD_REQUEST)  # Python 3.11 takes long to look up members of enums
# Answers hold personal data; what may be cached says so itself.
_NO_STORE = (b"cache-control", b"no-store")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class CORSMiddleware(cors.CORSMiddleware):
    """Starlette's, but a preflight request that is refused gets no error in plain text: browsers go
    by the headers, which it lacks.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        return response if response.status_code == HTTPStatus.OK else Response(status_code=204)


def _with_cors(settings: Settings) -> Callable[[ASGIApp], ASGIApp]:
    if not settings.cors_origins:
        return lambda app: app
    return partial(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["Link", "Location", "Retry-After", "X-Request-ID"],
    )


def _with_client_address(settings: Settings) -> Callable[[ASGIApp], ASGIApp]:
    """What X-Forwarded-For and X-Forwarded-Proto say, but only of trusted proxies."""
    if not settings.trusted_proxies:
        return lambda app: app
    proxies = [str(network) for network in settings.trusted_proxies]
    middleware: Any = ProxyHeadersMiddleware  # the same protocol, typed in other words
    return partial(middleware, trusted_hosts=proxies)


class RequestMiddleware:
    """All that goes around a request, in one middleware: each one costs every request time.

    The request gets an id, the response its common headers, and the log one line for both.

    What breaks a limit is refused (app/http/limits.py). At most *max_concurrent_requests* are worked on
    at a time; the others wait for a moment, in order. A request counts from when its body has arrived
    until its answer begins: slow clients and streams take nobody's turn.

    An error that nobody has caught is answered 500. Starlette's own last resort stands outside of
    this, where answers would get no headers.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        # What is answered here needs the headers of CORS just as what the application answers.
        self.with_cors = _with_cors(settings)
        self.app = _with_client_address(settings)(self.with_cors(app))
        self.limits = RequestLimits(settings)
        self.slots = anyio.Semaphore(settings.max_concurrent_requests, fast_acquire=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_at = time.perf_counter()
        request_id = _request_id(dict(scope["headers"]).get(b"x-request-id"))
        # Not reset: servers run each request in a context of its own.
        request_id_var.set(request_id)
        status = 0
        holds_slot = False

        # No coroutine itself: that would be one more for each message.
        def send_complete(message: Message) -> Awaitable[None]:
            nonlocal status, holds_slot, send
            if status:
                return send(message)
            status = message["status"]
            if holds_slot:
                holds_slot = False
                self.slots.release()
            headers = list(message.get("headers", ()))
            if status >= _FIRST_ERROR and _is_plain_text(headers):
                problem = _as_problem(status, headers, scope)
                self._add_headers(problem.raw_headers, request_id)
                answer = problem(scope, receive, send)
                send = _drop
                return answer
            self._add_headers(headers, request_id)
            message["headers"] = headers
            return send(message)

        try:
            if self.limits.check_head(scope):
                receive = await self.limits.read_body(receive)
            if scope["path"] not in _QUIET_PATHS:
                try:
                    self.slots.acquire_nowait()
                except anyio.WouldBlock:
                    await self._wait_for_slot()
                holds_slot = True
            routed = _routed(scope) if scope["method"] == "HEAD" else scope
            await self.app(routed, receive, send_complete)
        except ClientDisconnect:
            """Nobody is there to be answered."""
        except Exception as error:
            answer = _answer(error, scope)
            if status:
                raise
            await self.with_cors(answer)(scope, receive, send_complete)
        finally:
            if holds_slot:
                self.slots.release()
            _log(scope, status, began_at)

    def _add_headers(self, headers: RawHeaders, request_id: str) -> None:
        for name, _ in headers:
            if name == b"cache-control":
                break
        else:
            headers.append(_NO_STORE)
        headers.append(_NO_SNIFFING)
        headers.append((b"x-request-id", request_id.encode()))
        if shutdown.begun:
            # The next request of this client shall find another process.
            headers.append((b"connection", b"close"))

    async def _wait_for_slot(self) -> None:
        """Raises UnavailableError when there is none for too long."""
        try:
            async with asyncio.timeout(_MAX_WAIT_SECONDS):
                await self.slots.acquire()
        except TimeoutError:
            raise UnavailableError(retry_after=1) from None


def _request_id(offered: bytes | None) -> str:
    return offered.decode() if offered and _REQUEST_ID.fullmatch(offered) else str(uuid7())


def _answer(error: Exception, scope: Scope) -> ASGIApp:
    if isinstance(error, RejectRequest):
        return partial(reject, error.status)
    if isinstance(error, UnavailableError):
        # All of the request has been read, so the connection can stay open. Under load, a new one
        # would wait for seconds to be accepted.
        return unavailable_response(Request(scope))
    logger.error("Unhandled error", exc_info=error)
    return internal_error_response(Request(scope))


def _routed(scope: Scope) -> Scope:
    """HEAD is answered by the route for GET, unless there is one for it (RFC 9110 section 9.3.2)."""
    if any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes):
        return scope
    return {**scope, "method": "GET"}


def _is_plain_text(headers: RawHeaders) -> bool:
    return Headers(raw=headers).get("content-type", "").startswith("text/plain")


def _as_problem(status: int, headers: RawHeaders, scope: Scope) -> Response:
    """For errors that Starlette answers in plain text, such as those of a range of a file."""
    kept = {
        name.decode(): value.decode("latin-1")
        for name, value in headers
        if name not in {b"content-length", b"content-type"}
    }
    return http_problem_response(Request(scope), status, kept)


async def _drop(message: Message) -> None:
    """For the body of an answer that was replaced."""


def _log(scope: Scope, status: int, began_at: float) -> None:
    level = logging.DEBUG if scope["path"] in _QUIET_PATHS else logging.INFO
    if logger.isEnabledFor(level):
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "duration_ms": round((time.perf_counter() - began_at) * 1000, 1),
        }
        logger.log(level, "request", extra=fields)
