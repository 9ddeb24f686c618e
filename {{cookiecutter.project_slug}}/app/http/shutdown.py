"""Stopping: the service first says that it is not ready, and refuses connections only later."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn


def starting_server() -> uvicorn.Server | None:
    """The server that runs the application, which knows its own handler of SIGTERM."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


class Shutdown:
    def __init__(self, *, delay: float, timeout: int) -> None:
        # Whoever works on the code waits for each restart.
        self._delay = 0 if "--reload" in sys.argv else delay
        self._timeout = timeout
        self.begun = False

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Make SIGTERM begin the shutdown, and hand it to the server after the delay.

        The server closes its sockets as soon as it gets the signal. Until then load balancers see that
        `/readyz` fails, and send their requests elsewhere.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            yield
            return
        server = starting_server()
        if server is not None and server.config.timeout_graceful_shutdown is None:
            # Without --timeout-graceful-shutdown it would wait without end for a request that hangs.
            server.config.timeout_graceful_shutdown = self._timeout
        loop = asyncio.get_running_loop()

        def begin(number: int, frame: FrameType | None) -> None:
            if self.begun or not self._delay:
                handler(number, frame)
            else:
                loop.call_soon_threadsafe(loop.call_later, self._delay, handler, number, None)
            self.begun = True

        signal.signal(signal.SIGTERM, begin)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
