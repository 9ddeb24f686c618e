"""Graceful shutdown: `/readyz` fails some time before the server stops accepting connections."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]

# Handlers of event loops do nothing themselves, and what the loop does can't be delayed.
_LOOPS = {"asyncio", "uvloop"}


class Shutdown:
    """The shutdown of this process. `begun` turns true at the first SIGTERM."""

    def __init__(self) -> None:
        self.begun = False
        self.server_handler: Handler | None = None  # of the signal, once the application starts

    @contextmanager
    def on_sigterm(self, delay: float) -> Iterator[bool]:
        """Begin the shutdown at SIGTERM and pass the signal on to the server *delay* seconds later.

        A server closes its sockets as soon as it gets the signal. Until then, load balancers see
        that `/readyz` fails and send requests elsewhere. A second SIGTERM ends the delay.

        Yields False for a server that doesn't handle the signal through the `signal` module.
        """
        self.server_handler = stop_server = _server_handler()
        if stop_server is None:
            yield False
            return
        loop = asyncio.get_running_loop()

        def begin(number: int, frame: FrameType | None) -> None:
            if self.begun or not delay:
                stop_server(number, frame)
            else:
                loop.call_soon_threadsafe(loop.call_later, delay, stop_server, number, None)
            self.begun = True

        signal.signal(signal.SIGTERM, begin)
        try:
            yield True
        finally:
            signal.signal(signal.SIGTERM, stop_server)


def _server_handler() -> Handler | None:
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return None
    return None if handler.__module__.partition(".")[0] in _LOOPS else handler


shutdown = Shutdown()
