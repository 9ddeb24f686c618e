"""Connection-level limits for uvicorn, applied before middleware sees a request.

uvicorn has no options for these, so this module builds on undocumented parts of its httptools
protocol, and pyproject.toml pins uvicorn to one minor release. `python -m app` uses it, and so does
`uvicorn --http app.http.protocol:LimitedProtocol`. A proxy in front of the service can do the same
job; everything else works without this module.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.core import limits
from app.core.logging import access_logger, client_var, request_id_var
from app.http.middleware import add_common_headers, choose_request_id
from app.http.problems import http_problem


class LimitedProtocol(HttpToolsProtocol):
    """Request heads and chunk framing must arrive in time and within a size limit.

    Clients that send or read nothing are disconnected. Malformed HTTP gets problem details.
    """

    head_timeout: float = limits.HEAD_TIMEOUT_SECONDS
    write_timeout: float = limits.WRITE_TIMEOUT_SECONDS

    _in_head = True
    _began_at = 0.0
    # Bytes received of this head, or of the chunk framing of this body.
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _is_rejected = False
    _status = 400

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._began_at = self.loop.time()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    # Called by the parser, in this order.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began_at = self.loop.time()
        self._in_head = True
        self._head_bytes = 1  # or more: the parser is in the middle of a piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # ignore trailers: a proxy doesn't look there for headers it must remove
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.url) > limits.MAX_RAW_URL_BYTES:
            self._status = 414
            raise ValueError("URL too long")  # uvicorn then calls send_400_response
        self._in_head = False
        self._stop_awaiting_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = max(0, self._head_bytes - len(body))  # the rest is framing
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True  # of the next request
        self._head_bytes = 0
        super().on_message_complete()

    # Called by the transport.

    def data_received(self, data: bytes) -> None:
        if self._is_rejected:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_bytes > limits.MAX_RAW_HEAD_BYTES:
            self._reject(431)
        elif self._in_head and self._head_bytes and self._head_timer is None:
            self._await_head()  # most heads arrive in one piece and need no timer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        _cancel(self._write_timer)
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout, self._give_up)

    def _stop_awaiting_head(self) -> None:
        _cancel(self._head_timer)
        self._head_timer = None

    def _give_up(self) -> None:
        if self._head_bytes:
            self._reject(408)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- the text is uvicorn's
        self._reject(self._status)

    def _reject(self, status: int) -> None:
        """Answer with *status* and close the connection, after any response that is being sent."""
        if self._is_rejected:
            return
        self._is_rejected = True
        self._status = status
        self._stop_awaiting_head()
        # None before the first request, whatever uvicorn's types say.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._send_rejection()
        elif self._in_head:
            pass  # on_response_complete sends the rejection
        elif self.pipeline or cycle.response_started:
            self.transport.close()
        else:
            self._send_rejection()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_rejected and self.cycle.response_complete and not self.transport.is_closing():
            self._send_rejection()

    def _send_rejection(self) -> None:
        request_id = choose_request_id()
        request_id_var.set(request_id)
        client_var.set(self.client[0] if self.client else "")
        problem = http_problem(None, self._status)
        headers = [*problem.raw_headers, (b"connection", b"close")]
        add_common_headers(headers, request_id)
        phrase = HTTPStatus(self._status).phrase.encode()
        lines = [b"HTTP/1.1 %d %b" % (self._status, phrase)]
        lines += [b"%b: %b" % header for header in headers]
        self.transport.write(b"\r\n".join([*lines, b"", problem.body]))
        self.transport.close()
        duration = round((self.loop.time() - self._began_at) * 1000, 1)
        fields = {"status": self._status, "duration_ms": duration}
        access_logger.info("request", extra=fields)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
