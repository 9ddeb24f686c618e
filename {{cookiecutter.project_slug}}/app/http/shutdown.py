"""Stopping: the service first reports that it is not ready and stops accepting connections later."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Shutdown:
    """The shutdown of this process. `begun` turns true with the first SIGTERM."""

    def __init__(self) -> None:
        self.begun = False

    @contextmanager
    def on_sigterm(self, delay: float) -> Iterator[None]:
        """Begin the shutdown at SIGTERM and hand the signal to the server *delay* seconds later.

        A server closes its sockets as soon as it gets the signal. Until then load balancers see
        that `/readyz` fails and send their requests elsewhere.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            yield
            return
        loop = asyncio.get_running_loop()

        def begin(number: int, frame: FrameType | None) -> None:
            if self.begun or not delay:
                handler(number, frame)
            else:
                loop.call_soon_threadsafe(loop.call_later, delay, handler, number, None)
            self.begun = True

        signal.signal(signal.SIGTERM, begin)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)


shutdown = Shutdown()
