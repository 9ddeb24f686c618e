"""Many logins at once: `python -m benchmarks.logins [logins] [rounds]`.

While they last, another process asks for `/livez` every 10 ms. It prints how many logins were answered
with what, how long `/livez` took, and the memory of the service; without arguments it fails if
`/livez` took long, or the memory grew by more than hashing in all threads needs.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import psutil

from app.core.security import hash_password
from app.db.local import local_database
from app.db.session import Database, make_engine
from app.models import User
from benchmarks.load import answer
from tests.service import running_service
from tests.support import PASSWORD, alembic

EMAIL = "ada@example.com"
INTERVAL_SECONDS = 0.01
# With other numbers, as in the tests, what it measures need not be good.
STRICT = len(sys.argv) == 1
MAX_P99_MS = 100
MAX_GROWTH_MIB = 16 * 19


async def ask(port: int, message: str) -> tuple[int, float]:
    """The status, and how long it took, with a connection of its own as load balancers make it."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message.encode())
    status, _ = await answer(reader)
    writer.close()
    return status, time.perf_counter() - started


def flood(port: int, count: int) -> Counter[int]:
    """Runs in a process of its own, so as not to delay who asks for `/livez`."""
    body = urlencode({"username": EMAIL, "password": PASSWORD})
    message = (
        "POST /api/v1/auth/token HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )

    async def run() -> Counter[int]:
        answers = await asyncio.gather(*(ask(port, message) for _ in range(count)))
        return Counter(status for status, _ in answers)

    return asyncio.run(run())


async def measure(port: int, count: int, others: ProcessPoolExecutor) -> str:
    message = "GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    probes = []
    logins = asyncio.get_running_loop().run_in_executor(others, flood, port, count)
    while not logins.done():
        probes.append(asyncio.create_task(ask(port, message)))
        await asyncio.sleep(INTERVAL_SECONDS)
    answers = await asyncio.gather(*probes)
    assert {status for status, _ in answers} == {200}
    seconds = sorted(seconds for _, seconds in answers)
    p50, p99 = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99))
    assert p99 < MAX_P99_MS or not STRICT, f"/livez took {p99:.0f} ms while passwords were hashed"
    return (
        f"logins: {dict(await logins)}; /livez, {len(seconds)} times: "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {seconds[-1] * 1000:.0f} ms"
    )


async def add_user(database: Database) -> None:
    async with database.session.begin() as session:
        session.add(User(email=EMAIL, hashed_password=hash_password(PASSWORD)))
    await database.engine.dispose()


def main(count: int = 200, rounds: int = 5) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1) as others,
    ):
        Path(name).chmod(0o755)  # PostgreSQL may run as another user
        with local_database(Path(name).resolve()) as url:
            alembic(url, "upgrade", "head")
            asyncio.run(add_user(Database(make_engine(url))))
            with running_service(url, Path(name), LOG_LEVEL="CRITICAL") as service:
                port = int(service.address.rpartition(":")[2])
                process = psutil.Process(service.process.pid)
                others.submit(flood, port, 1).result()  # the first one imports what it needs
                before = process.memory_info().rss / 2**20
                for _ in range(rounds):
                    report = asyncio.run(measure(port, count, others))
                    memory = process.memory_info().rss / 2**20
                    print(f"{report}; {memory:.0f} MiB")
                    assert memory - before < MAX_GROWTH_MIB or not STRICT


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
