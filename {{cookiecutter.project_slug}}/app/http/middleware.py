"""Middleware, as pure ASGI: Starlette's BaseHTTPMiddleware costs ten times as much."""

import asyncio
import logging
import re
import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware import Middleware
from opentelemetry import trace
from starlette.datastructures import Headers
from starlette.middleware import cors
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7
from uvicorn.middleware import proxy_headers

from app.core.config import Settings
from app.core.exceptions import AppError, UnavailableError
from app.core.limits import (
    LINGER_SECONDS,
    MAX_ARRIVING_BODIES,
    MAX_WAITING_REQUESTS,
    SLOT_WAIT_SECONDS,
)
from app.core.logging import access_logger, client_var, request_id_var
from app.http.limits import RejectRequest, RequestLimits, reject
from app.http.problems import error_response, http_problem, install_error_handlers
from app.http.routing import (
    Routes,
    apply_root_path,
    body_limit,
    route_head_as_get,
    route_template,
)
from app.http.shutdown import shutdown

RawHeaders = list[tuple[bytes, bytes]]

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# A response with one of these can be cached, or says itself how.
_CACHE_HEADERS = {b"cache-control", b"etag", b"last-modified"}
# Browsers then use https for a year, also when a link says http. Its subdomains may belong to others.
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def middleware_stack(settings: Settings) -> list[Middleware]:
    """List the middleware, outermost first."""
    stack = [Middleware(RequestMiddleware, settings=settings)]
    if settings.cors_origins:
        cors_middleware = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Link", "Location", "Retry-After", "X-Request-ID"],
        )
        stack.insert(0, cors_middleware)
    if settings.trusted_proxies:
        proxies = [*settings.trusted_proxies]
        if "unix" in proxies:
            proxies.append("unix:")  # as nginx calls a peer on a Unix socket of its own
        stack.insert(0, Middleware(ProxyHeadersMiddleware, trusted_hosts=proxies))
    return stack


class ProxyHeadersMiddleware(proxy_headers.ProxyHeadersMiddleware):
    """Calls peers without an address `unix`, which TRUSTED_PROXIES may list.

    Such a peer is connected to a Unix socket.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan" and not (scope.get("client") or ("",))[0]:
            scope["client"] = ("unix", 0)
        await super().__call__(scope, receive, send)


class CORSMiddleware(cors.CORSMiddleware):
    """Answers a rejected preflight with an empty 204 instead of a text/plain 400.

    The browser acts on the missing CORS headers, not on the status.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            response = Response(status_code=204)
        request_id = choose_request_id(request_headers.get("x-request-id"))
        add_common_headers(response.raw_headers, request_id)
        return response


class RequestMiddleware:
    """Gives each request an id, a slot and a log line, and each response its common headers.

    At most `max_concurrent_requests` run at a time; others wait for a moment, in order. A request
    holds a slot from the moment its body has been read until its response starts, so slow uploads
    and streams hold none. Probes need no slot. Nor do requests with a large body, which their routes
    read while it arrives.

    It also answers unhandled errors: Starlette's own handler is outside of all middleware, so its
    responses would lack these headers.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        *,
        slot_wait: float = SLOT_WAIT_SECONDS,
        linger: float = LINGER_SECONDS,
        max_waiting: int = MAX_WAITING_REQUESTS,
        max_arriving_bodies: int = MAX_ARRIVING_BODIES,
    ) -> None:
        self._app = self._app_for_any_host = app
        if settings.allowed_hosts:
            self._app = TrustedHostMiddleware(app, settings.allowed_hosts, www_redirect=False)
        self._sends_hsts = settings.is_deployed
        self._root_path = settings.root_path
        self._routes: Routes | None = None
        self._limits = RequestLimits(settings, max_arriving_bodies)
        self._slots = asyncio.Semaphore(settings.max_concurrent_requests)
        self._slot_wait = slot_wait
        self._max_waiting = max_waiting
        self._waiting = 0
        self._linger = linger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        app = scope["app"]
        routes = self._routes
        if routes is None or routes.count != len(app.routes):
            routes = self._look_at_routes(app)
        apply_root_path(scope, self._root_path, routes)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._respond(app, routes, scope, receive, send)

    async def _respond(
        self, app: FastAPI, routes: Routes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        began_at = time.perf_counter()
        is_probe = scope["path"].removeprefix(scope.get("root_path", "")) in routes.probes
        response = ResponseSender(scope, send, routes.credentials)
        response.sends_hsts = self._sends_hsts and scope["scheme"] == "https"
        # Orchestrators call probes by the address of the process.
        inner_app = self._app_for_any_host if is_probe else self._app
        routed = scope
        if "fastapi.telemetry" in scope and scope["query_string"]:
            # It may hold addresses and tokens.
            trace.get_current_span().set_attribute("url.query", "REDACTED")
        try:
            needs_slot = not is_probe
            length = self._limits.check_head(scope)
            if length != 0:
                own_limit = body_limit(scope) if routes.have_own_body_limits else None
                receive, is_complete = await self._limits.read_body(receive, length, own_limit)
                needs_slot = needs_slot and is_complete
            if needs_slot:
                if self._slots.locked():
                    await self._wait_for_slot()
                else:
                    await self._slots.acquire()  # returns at once, without a costly timer
                response.slots = self._slots
            routed = route_head_as_get(scope)
            await inner_app(routed, receive, response)
        except ClientDisconnect:
            pass  # nobody is left to answer
        except RejectRequest as rejection:
            await reject(rejection.status, scope, receive, response, self._linger)
        except Exception as error:
            if response.status:
                raise
            if not isinstance(error, AppError):
                logger.exception("Unhandled error")
            # The whole request has been read, so the connection can stay open.
            answer = await error_response(app, Request(scope, receive), error)
            await answer(scope, receive, response)
        finally:
            response.free_slot()
            level = logging.DEBUG if is_probe else logging.INFO
            if access_logger.isEnabledFor(level):
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "route": route_template(routed),
                    "status": response.status,
                    "duration_ms": round((time.perf_counter() - began_at) * 1000, 1),
                }
                access_logger.log(level, "request", extra=fields)

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return self._waiting

    def _look_at_routes(self, app: FastAPI) -> Routes:
        self._routes = Routes(app, self._root_path)
        for mounted in self._routes.mounted:
            install_error_handlers(mounted)
        return self._routes

    async def _wait_for_slot(self) -> None:
        if self._waiting >= self._max_waiting:
            raise UnavailableError(retry_after=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._slot_wait):
                await self._slots.acquire()
        except TimeoutError:
            raise UnavailableError(retry_after=1) from None
        finally:
            self._waiting -= 1


class ResponseSender:
    """Sends a response with the common headers, and frees the request's slot when it starts.

    Replaces errors in plain text, which Starlette's static files send, with problem details.
    """

    __slots__ = (
        "_is_personal",
        "_is_replaced",
        "_request_id",
        "_scope",
        "_send",
        "sends_hsts",
        "slots",
        "status",
    )

    def __init__(self, scope: Scope, send: Send, credentials: set[bytes]) -> None:
        self._scope = scope
        self._send = send
        headers = dict(scope["headers"])
        self._is_personal = not credentials.isdisjoint(headers) or "/auth/" in scope["path"]
        self._request_id = choose_request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        # Never reset: servers run each request in a context of its own.
        request_id_var.set(self._request_id)
        if client := scope.get("client"):
            client_var.set(client[0])
        self._is_replaced = False
        self.sends_hsts = False
        self.slots: asyncio.Semaphore | None = None  # once the request holds one
        self.status = 0  # until the response starts

    async def __call__(self, message: Message) -> None:
        if self._is_replaced:
            return  # the body of the replaced response
        if message["type"] == "http.response.start":
            self.free_slot()
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if self.sends_hsts:
                headers.append(_HSTS)
            if (
                self._is_personal
                and self.status != 304
                and _CACHE_HEADERS.isdisjoint(dict(headers))
            ):
                headers.append((b"cache-control", b"no-store"))
            if self.status >= 400 and _is_plain_text(headers):
                self._is_replaced = True
                problem = http_problem(self._scope, self.status, _without_content(headers))
                message["headers"] = problem.raw_headers
                add_common_headers(problem.raw_headers, self._request_id)
                await self._send(message)
                message = {"type": "http.response.body", "body": problem.body}
            else:
                add_common_headers(headers, self._request_id)
                message["headers"] = headers
        await self._send(message)

    def free_slot(self) -> None:
        if self.slots is not None:
            self.slots.release()
            self.slots = None


def choose_request_id(offered: str | None = None) -> str:
    """Return the client's request id if it is a valid one, otherwise a new one."""
    return offered if offered and _REQUEST_ID.fullmatch(offered) else str(uuid7())


def add_common_headers(headers: RawHeaders, request_id: str) -> None:
    headers.append((b"x-content-type-options", b"nosniff"))
    headers.append((b"x-request-id", request_id.encode()))
    if shutdown.begun:
        headers.append((b"connection", b"close"))  # so that the client moves to another process


def _is_plain_text(headers: RawHeaders) -> bool:
    return Headers(raw=headers).get("content-type", "").startswith("text/plain")


def _without_content(headers: RawHeaders) -> dict[str, str]:
    content = {"content-length", "content-type"}
    return {name: value for name, value in Headers(raw=headers).items() if name not in content}
