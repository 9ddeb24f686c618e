"""Load test of a service that has just started: `python -m benchmarks.load [connections] [seconds]`.

Each connection belongs to a user who reads and changes their account without pause. One request
in a hundred is a sign-up, which hashes a password. The report shows statuses, response times, how
evenly the connections were served, and the memory of the service. Without arguments, which means
500 connections for 30 s, the test fails if one of these figures is beyond its limit.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil
from uuid_utils.compat import uuid7

from app.core import event_loop
from app.core.security import encode_access_token
from app.db.engine import make_engine
from app.db.local import local_database
from app.db.session import Database
from app.models.user import User
from app.models.user_session import UserSession
from tests.service import SECRET_KEY, running_service
from tests.support import PASSWORD, alembic

# Limits are for the default numbers; short runs, as in the tests, only have to work.
STRICT = len(sys.argv) == 1
MAX_P99_SECONDS = 2.5
MAX_GROWTH_MIB = 32


@dataclass
class Report:
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # Accepted requests of each connection.
    per_connection: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    lost: int = 0

    def __str__(self) -> str:
        lines = [
            f"{kind} {status}: {count}" for (kind, status), count in sorted(self.statuses.items())
        ]
        for kind, seconds in self.seconds.items():
            ordered = sorted(seconds)
            p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
            lines.append(
                f"{kind}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {ordered[-1] * 1000:.0f} ms"
            )
        counts = self.per_connection
        lines.append(
            f"accepted requests of a connection: {min(counts)} to {max(counts)}; lost: {self.lost}"
        )
        return "\n".join(lines)

    def check(self) -> None:
        expected = {"read": {200, 503}, "write": {200, 503}, "sign-up": {201, 503}}
        wrong = {key for key in self.statuses if key[1] not in expected[key[0]]}
        assert not wrong, f"unexpected responses: {wrong}"
        assert self.lost == 0, "requests were lost on closed connections"
        assert min(self.per_connection) > 0, "a connection was starved"
        for kind, seconds in self.seconds.items():
            p99 = sorted(seconds)[int(len(seconds) * 0.99)]
            assert p99 < MAX_P99_SECONDS, f"{kind}: p99 was {p99:.1f} s"
        growth = self.memory[-1] - self.memory[len(self.memory) // 3]
        assert growth < MAX_GROWTH_MIB, f"memory grew by {growth:.0f} MiB after the first third"


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read a response; return its status and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), b"\r\nconnection: close\r\n" not in head


async def use(port: int, token: str, number: int, until: float, report: Report) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = number % 100  # spread the sign-ups over time
    accepted = 0
    while time.monotonic() < until:
        count += 1
        if count % 5:
            kind, message = "read", request("GET", "/api/v1/users/me", token)
        elif count % 100:
            body = json.dumps({"full_name": f"Ada {count}"}).encode()
            kind, message = "write", request("PATCH", "/api/v1/users/me", token, body)
        else:
            account = {"email": f"{uuid7()}@example.com", "password": PASSWORD}
            body = json.dumps(account).encode()
            kind, message = "sign-up", request("POST", "/api/v1/users", token, body)
        started = time.monotonic()
        try:
            writer.write(message)
            status, stays_open = await read_response(reader)
        except (OSError, asyncio.IncompleteReadError):
            report.lost += 1
            stays_open = False
        else:
            report.statuses[kind, status] += 1
            report.seconds[kind].append(time.monotonic() - started)
            accepted += status != 503
        if not stays_open:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    report.per_connection.append(accepted)


async def make_tokens(database: Database, count: int) -> list[str]:
    users = [User(id=uuid7(), email=f"{n}@example.com", hashed_password="x") for n in range(count)]
    user_sessions = [UserSession(id=uuid7(), user_id=user.id) for user in users]
    async with database.session.begin() as session:
        session.add_all(users)
        await session.flush()
        session.add_all(user_sessions)
    await database.engine.dispose()
    hour = timedelta(hours=1)
    return [
        encode_access_token(
            SECRET_KEY, user_id=user_session.user_id, user_session_id=user_session.id, lifetime=hour
        )
        for user_session in user_sessions
    ]


def main(connections: int = 500, seconds: int = 30) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # PostgreSQL may run as another user
        with local_database(Path(name).resolve()) as url:
            alembic(url, "upgrade", "head")
            tokens = event_loop.run(make_tokens(Database(make_engine(url)), connections))
            with running_service(
                url, Path(name), LOG_LEVEL="CRITICAL", SMTP_HOST="127.0.0.1", SMTP_PORT="9"
            ) as service:
                port = int(service.address.rpartition(":")[2])
                process = psutil.Process(service.process.pid)
                report = Report()

                async def run() -> None:
                    until = time.monotonic() + seconds
                    async with asyncio.TaskGroup() as tasks:
                        for number, token in enumerate(tokens):
                            tasks.create_task(use(port, token, number, until, report))
                        for second in range(0, seconds, 5):
                            memory = process.memory_info().rss / 2**20
                            report.memory.append(memory)
                            print(
                                f"after {second} s: {memory:.0f} MiB, {len(report.seconds['read'])} reads"
                            )
                            await asyncio.sleep(min(5, seconds))

                asyncio.run(run())
                print(report)
                if STRICT:
                    report.check()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
