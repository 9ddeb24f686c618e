"""What happens on a connection before there is a request that middleware could look at."""

import asyncio
import json
from http import HTTPStatus

from uuid_utils import uuid7
from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.errors import HTTP_PROBLEMS

MAX_HEAD_BYTES = 128 * 1024
HEAD_SECONDS = 10


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's, but the head of a request, which is its URL and its headers, must come in time and
    have an end. Who sends nothing at all is hung up on. What is no HTTP gets problem details as well.
    """

    _in_head = True
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        # Most heads come in one piece, and need neither a count nor a timer.
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431)
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words
        self._refuse(400)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self._head_bytes:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        slug, title, detail = HTTP_PROBLEMS[status]
        request_id = str(uuid7())
        body = json.dumps(
            {
                "type": f"/problems/{slug}",
                "title": title,
                "status": status,
                "detail": detail,
                "instance": "",
                "request_id": request_id,
            }
        )
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "x-content-type-options: nosniff\r\n"
            "cache-control: no-store\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write((head + body).encode())
        self.transport.close()


def limit_connections(server: Server | None) -> None:
    """For a server that is just starting: it takes the class when the application is ready."""
    if server is not None and server.config.http_protocol_class is HttpToolsProtocol:
        server.config.http_protocol_class = LimitedProtocol
