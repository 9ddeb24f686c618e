"""Flood a service with logins and measure how fast it answers other requests.

One process sends all logins of a round at once. Another one asks for /livez every 10 ms, each
time on a new connection, as load balancers do. Fails if /livez is slow, or if the memory of the
service grows by more than hashing in all its threads needs. Linux only.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.generated import percentile
from dev import clean_environment
from tools.running import running, settings_of

LOGINS = 200
ROUNDS = 5
INTERVAL_SECONDS = 0.01
MAX_P99_MS = 100
# 16 threads, 19 MiB for each hash.
MAX_GROWTH_MIB = 16 * 19


@dataclass(frozen=True)
class Round:
    logins: Counter[int]
    probes: Counter[int]
    probe_ms: list[float]
    growth_mib: float

    def __str__(self) -> str:
        p50, p99 = (percentile(self.probe_ms, share) for share in (0.5, 0.99))
        return (
            f"logins: {dict(self.logins)}, /livez: {dict(self.probes)}, p50 {p50:.0f} ms, "
            f"p99 {p99:.0f} ms, max {max(self.probe_ms):.0f} ms, memory {self.growth_mib:+.0f} MiB"
        )


def login(email: str, password: str) -> bytes:
    body = urlencode({"username": email, "password": password})
    return (
        "POST /api/v1/auth/token HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def send(port: int, request: bytes) -> tuple[int, float]:
    """Send a request on a new connection; return its status and the milliseconds it took."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    response = await reader.read()
    writer.close()
    return int(response.split(b" ", 2)[1]), (time.perf_counter() - started) * 1000


def flood(port: int, request: bytes, count: int) -> Counter[int]:
    """Send a request many times at once. Runs in a process of its own, to keep the probes on time."""

    async def run() -> Counter[int]:
        responses = await asyncio.gather(*(send(port, request) for _ in range(count)))
        return Counter(status for status, _ in responses)

    return asyncio.run(run())


async def probe_during_flood(
    port: int, request: bytes, count: int, others: ProcessPoolExecutor
) -> tuple[Counter[int], list[tuple[int, float]]]:
    probe = b"GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    probes = []
    logins = asyncio.get_running_loop().run_in_executor(others, flood, port, request, count)
    while not logins.done():
        probes.append(asyncio.create_task(send(port, probe)))
        await asyncio.sleep(INTERVAL_SECONDS)
    return await logins, await asyncio.gather(*probes)


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert match is not None
    return int(match[1]) / 1024


def measure(project: Path, count: int, rounds: int) -> list[Round]:
    """Run the rounds against one process of the service in *project*."""
    settings = settings_of(project)
    request = login(settings["FIRST_SUPERUSER_EMAIL"], settings["FIRST_SUPERUSER_PASSWORD"])
    env = {**clean_environment(), "LOG_LEVEL": "CRITICAL", "RATE_LIMIT_ENABLED": "false"}
    results = []
    with running(project, env) as server, ProcessPoolExecutor(1) as others:
        port = int(server.address.rpartition(":")[2])
        others.submit(flood, port, request, 1).result()  # imports, in both processes
        before = resident_mib(server.process.pid)
        for _ in range(rounds):
            logins, probes = asyncio.run(probe_during_flood(port, request, count, others))
            growth = resident_mib(server.process.pid) - before
            statuses = Counter(status for status, _ in probes)
            results.append(Round(logins, statuses, [ms for _, ms in probes], growth))
            print(results[-1], flush=True)
    return results


def run(project: Path) -> int:
    results = measure(project, LOGINS, ROUNDS)
    failures = [
        *("a probe failed" for each in results if set(each.probes) != {200}),
        *("/livez was slow" for each in results if percentile(each.probe_ms, 0.99) > MAX_P99_MS),
        *("memory grew too much" for each in results if each.growth_mib > MAX_GROWTH_MIB),
    ]
    for failure in failures:
        print(f"failed: {failure}")
    return 1 if failures else 0
