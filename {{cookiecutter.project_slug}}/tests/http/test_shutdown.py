"""What the server's own handler is asked to do, and when."""

import asyncio
import signal
import sys
from collections.abc import Iterator

import pytest
import uvicorn

from app.http.shutdown import Shutdown

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")


@pytest.fixture
def server() -> Iterator[uvicorn.Server]:
    """A server whose handler is in place, as it is when the application starts."""
    server = uvicorn.Server(uvicorn.Config("nothing:app", log_config=None))
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    yield server
    signal.signal(signal.SIGTERM, before)


def stops(server: uvicorn.Server) -> bool:
    return server.should_exit


async def test_delay(server: uvicorn.Server) -> None:
    shutdown = Shutdown()
    with shutdown.on_sigterm(0.2):
        signal.raise_signal(signal.SIGTERM)
        assert shutdown.begun
        await asyncio.sleep(0.05)
        assert not stops(server)
        await asyncio.sleep(0.3)
        assert stops(server)
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


async def test_second_signal_ends_the_delay(server: uvicorn.Server) -> None:
    with Shutdown().on_sigterm(60):
        signal.raise_signal(signal.SIGTERM)
        assert not stops(server)
        signal.raise_signal(signal.SIGTERM)
        assert stops(server)


def test_other_threads_have_no_signals(server: uvicorn.Server) -> None:
    async def run() -> None:
        with Shutdown().on_sigterm(1):
            assert signal.getsignal(signal.SIGTERM) == server.handle_exit

    asyncio.run(asyncio.to_thread(asyncio.run, run()))
