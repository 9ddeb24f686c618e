"""What happens on a connection before there is a request that middleware could look at."""

import asyncio
import json
from http import HTTPStatus

from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.http.problems import HTTP_PROBLEMS

MAX_HEAD_BYTES = 128 * 1024
# What httptools takes apart.
MAX_URL_BYTES = 65_535
HEAD_SECONDS = 10
WRITE_SECONDS = 30


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's, but the head of a request, which is its URL and its headers, must come in time and
    have an end, and so must what frames the chunks of a body. Who sends nothing at all, or reads
    nothing, is hung up on. What is no HTTP gets problem details as well.
    """

    _in_head = True
    _head_bytes = 0
    _status = 400
    _refused = False
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_writing_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 1  # or more, of those that are coming in now

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # and not behind the body: what a proxy keeps out must not come in there
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.url) > MAX_URL_BYTES:
            self._status = 414
            raise ValueError("URL too long")  # which comes to send_400_response
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # The rest of what has come frames it: sizes and extensions of chunks, and trailers.
        self._head_bytes = max(0, self._head_bytes - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        # What comes now is the next head.
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        # Most heads come in one piece, and need no timer.
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431)
        elif self._in_head and self._head_bytes and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_writing_timer()
        super().resume_writing()

    def _stop_writing_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words
        self._refuse(self._status)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._refused and self.cycle.response_complete and not self.transport.is_closing():
            self._send_refusal()

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self._head_bytes:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        if self._refused:
            return
        self._refused = True
        self._status = status
        self._stop_waiting()
        # None before the first request, whatever uvicorn's types say.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._send_refusal()
        elif self._in_head:
            """It is the next request: on_response_complete refuses it when this one is answered."""
        elif self.pipeline or cycle.response_started:
            self.transport.close()
        else:
            self._send_refusal()

    def _send_refusal(self) -> None:
        status = self._status
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
