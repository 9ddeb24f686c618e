"""When the server's own handler of SIGTERM is called."""

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
    """A server with its handler installed, as it is when the application starts."""
    server = uvicorn.Server(uvicorn.Config("nothing:app", log_config=None))
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    yield server
    signal.signal(signal.SIGTERM, before)


async def test_server_gets_the_signal_after_the_delay(server: uvicorn.Server) -> None:
    shutdown = Shutdown()
    with shutdown.on_sigterm(0.2) as has_delay:
        assert has_delay
        signal.raise_signal(signal.SIGTERM)
        assert shutdown.begun
        await asyncio.sleep(0.05)
        assert not should_exit(server)
        await asyncio.sleep(0.3)
        assert should_exit(server)
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


async def test_server_gets_the_signal_at_once_without_a_delay(server: uvicorn.Server) -> None:
    shutdown = Shutdown()
    with shutdown.on_sigterm(0):
        signal.raise_signal(signal.SIGTERM)
        assert shutdown.begun
        assert should_exit(server)


async def test_second_signal_ends_the_delay(server: uvicorn.Server) -> None:
    with Shutdown().on_sigterm(60):
        signal.raise_signal(signal.SIGTERM)
        assert not should_exit(server)
        signal.raise_signal(signal.SIGTERM)
        assert should_exit(server)


def should_exit(server: uvicorn.Server) -> bool:
    return server.should_exit


def test_thread_leaves_signals_alone(server: uvicorn.Server) -> None:
    async def run() -> None:
        with Shutdown().on_sigterm(1) as has_delay:
            assert not has_delay
            assert signal.getsignal(signal.SIGTERM) == server.handle_exit

    asyncio.run(asyncio.to_thread(asyncio.run, run()))


@pytest.mark.usefixtures("server")  # which restores the handler
async def test_handler_of_the_event_loop_is_left_alone() -> None:
    """The loop gets the signal by other means too, so replacing its handler delays nothing."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    handler = signal.getsignal(signal.SIGTERM)
    with Shutdown().on_sigterm(1) as has_delay:
        assert not has_delay
        assert signal.getsignal(signal.SIGTERM) == handler
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
