"""Compare a generated service with an app from the tutorials and with one on the bare driver.

All have the same routes and 10,000 users. Each measurement is a few seconds of load by `wrk`; for
each route, the subjects are measured alternately, and the median of the rounds counts. A server
with one worker has the first processor to itself, and PostgreSQL and the load share the others,
where the system allows that. Every feature of the service is on, and its log goes to a file; only
sign-up and login are measured without rate limits, which would reject them. No packages for
development are installed. Needs Linux and wrk (`apt-get install wrk`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.generated import INSIDE, generated_service
from dev import BIN, ROOT, clean_environment, fatal
from hooks.pre_gen_project import CHOICES
from tools.running import free_port, program, status

USERS = 10_000
UPDATED_USERS = 32
PAGE_LIMIT = 10
START_SECONDS = 60
PASSWORD = "correct horse battery staple"  # noqa: S105 -- of users that exist in a benchmark only
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
ROUTES = ["empty", "current user", "list of 100", "page 1,000", "update", "sign-up", "login"]
EMPTY_ROUTE = """

@app.get("/empty")
async def empty() -> dict[str, str]:
    return {"status": "ok"}
"""
# Routes that hash a password: the service limits how often a client may call them.
HASHING = {"sign-up", "login"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    token: str = ""
    content_type: str = ""
    body: str = ""

    def line(self) -> str:
        return "\t".join([self.method, self.path, self.token, self.content_type, self.body])


@dataclass(frozen=True)
class Subject:
    name: str
    command: list[str]
    env: dict[str, str]
    requests: dict[str, list[Request]]


@dataclass(frozen=True)
class Result:
    route: str
    subject: str
    connections: int
    workers: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    rejected: int
    failed: int
    cpu_us: float
    memory_mib: float
    start_seconds: float


@dataclass(frozen=True)
class Server:
    pid: int
    port: int
    start_seconds: float  # from the start of the process to the first 200


def processes(pid: int) -> list[int]:
    """Return a process and all of its descendants."""
    found = [pid]
    for parent in found:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        found += map(int, children.read_text().split()) if children.exists() else []
    return found


def cpu_seconds(pid: int) -> float:
    ticks = 0
    for process in processes(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    total = 0
    for process in processes(pid):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


def pin(pid: int, *, to_first: bool) -> None:
    """Keep a process on the first processor, or off it, if there are several."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        for process in processes(pid):
            os.sched_setaffinity(process, cpus[:1] if to_first else cpus[1:])


@contextmanager
def serving(subject: Subject, workers: int, log: Path) -> Iterator[Server]:
    """Run a subject until the end of the block."""
    port = free_port(0)
    env = {**subject.env, "HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": str(workers)}
    command = [part.replace("{port}", str(port)) for part in subject.command]
    command += ["--workers", str(workers)] if "{port}" in " ".join(subject.command) else []
    with log.open("a") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=env["CWD"])
        try:
            if workers == 1:
                pin(process.pid, to_first=True)
            deadline = time.monotonic() + START_SECONDS
            while status(f"http://127.0.0.1:{port}/readyz") != 200:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise fatal(f"{subject.name} did not start:\n{log.read_text()[-4000:]}")
                time.sleep(0.01)
            yield Server(process.pid, port, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=START_SECONDS)


def load(requests: Path, server: Server, *, connections: int, seconds: float) -> dict[str, float]:
    """Send the requests for some seconds; return what wrk says, and the CPU time of a request."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout=30s"]
    command += ["-s", str(ROOT / "benchmarks" / "load.lua"), f"http://127.0.0.1:{server.port}"]
    before = cpu_seconds(server.pid)
    wrk = subprocess.Popen([*command, "--", str(requests)], stdout=subprocess.PIPE, text=True)
    pin(wrk.pid, to_first=False)
    output, _ = wrk.communicate(timeout=seconds + 60)
    if wrk.returncode != 0:
        raise fatal(f"wrk failed:\n{output}")
    said: dict[str, float] = json.loads(output.splitlines()[-1])
    said["cpu"] = (cpu_seconds(server.pid) - before) / max(said["requests"], 1)
    return said


def measure(
    subjects: Sequence[Subject],
    route: str,
    *,
    connections: int,
    workers: int,
    rounds: int,
    seconds: float,
    folder: Path,
) -> list[Result]:
    """Measure the subjects alternately; return the medians of the rounds."""
    said: dict[str, list[dict[str, float]]] = {subject.name: [] for subject in subjects}
    memory: dict[str, float] = {}
    with ExitStack() as stack:
        servers = {
            subject.name: stack.enter_context(
                serving(subject, workers, folder / f"{subject.name}.log")
            )
            for subject in subjects
        }
        for number in range(rounds + 1):
            for subject in subjects:
                server = servers[subject.name]
                requests = folder / "requests.tsv"
                lines = (request.line() for request in subject.requests[route])
                requests.write_text("\n".join(lines) + "\n")
                if number == 0:  # warm up
                    load(requests, server, connections=min(connections, 32), seconds=1)
                    continue
                said[subject.name].append(
                    load(requests, server, connections=connections, seconds=seconds)
                )
                memory[subject.name] = memory_mib(server.pid)
    results = []
    for name, values in said.items():

        def median(key: str, values: list[dict[str, float]] = values) -> float:
            return statistics.median(value[key] for value in values)

        speed = statistics.median(each["requests"] / each["microseconds"] * 1e6 for each in values)
        results.append(
            Result(
                route=route,
                subject=name,
                connections=connections,
                workers=workers,
                requests_per_second=round(speed, 1),
                p50_ms=median("p50") / 1000,
                p99_ms=median("p99") / 1000,
                max_ms=max(value["max"] for value in values) / 1000,
                rejected=int(sum(value["rejected"] for value in values)),
                failed=int(sum(value["failed"] for value in values)),
                cpu_us=round(median("cpu") * 1e6),
                memory_mib=round(memory[name], 1),
                start_seconds=round(servers[name].start_seconds, 2),
            )
        )
    return results


def requests_of(
    tokens: list[str], prefix: str, *, empty: str, page: str, log_in: str
) -> dict[str, list[Request]]:
    """Return the requests of each route of a subject whose routes begin with *prefix*."""
    me = prefix + ("/users/me" if prefix else "/me")
    some = tokens[:UPDATED_USERS]
    form = f"username=user000000%40example.com&password={PASSWORD.replace(' ', '+')}"
    new = json.dumps({"email": f"new{time.time_ns()}-%d@example.com", "password": PASSWORD})
    return {
        "empty": [Request("GET", empty)],
        "current user": [Request("GET", me, token) for token in some],
        "list of 100": [Request("GET", f"{prefix}/users?limit=100", token) for token in some],
        "page 1,000": [Request("GET", page, token) for token in some],
        "update": [
            Request("PATCH", me, token, JSON, '{"full_name": "Ada Lovelace"}') for token in some
        ],
        "sign-up": [Request("POST", f"{prefix}/users", "", JSON, new)],
        "login": [Request("POST", prefix + log_in, "", FORM, form)],
    }


def find_page(subject: Subject, number: int, folder: Path) -> str:
    """Return the path of a page of the service, found by following all pages before it."""
    token = subject.requests["current user"][0].token
    path = f"/api/v1/users?limit={PAGE_LIMIT}"
    with serving(subject, 1, folder / "pages.log") as server:
        connection = HTTPConnection("127.0.0.1", server.port)
        first = path
        for _ in range(number - 1):
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            content = json.loads(response.read())
            assert response.status == 200, content
            path = f"{first}&cursor={content['next_cursor']}"
        connection.close()
    return path


def inside(
    project: Path, script: str, *arguments: str, env: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start a script in the environment of the service; it ends when its input is closed."""
    return subprocess.Popen(
        [program(project, "python"), str(INSIDE / script), *arguments],
        cwd=project,
        env={**env, "PYTHONPATH": str(project)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def add_empty_route(project: Path) -> None:
    """Give the service the route that the reference apps have. Its own probes are not logged."""
    with (project / "app" / "main.py").open("a", encoding="utf-8") as main:
        main.write(EMPTY_ROUTE)


def install_asyncpg(folder: Path) -> None:
    command = [str(BIN / "uv"), "pip", "install", "--quiet", "--target", str(folder)]
    command += ["--python", sys.executable, "-r", str(ROOT / "benchmarks" / "requirements.txt")]
    if subprocess.run(command, env=clean_environment(), check=False).returncode:
        raise fatal("asyncpg could not be installed. The reason is above.")


def install_runtime(project: Path, folder: Path) -> str:
    """Install what the service needs in production, and return the path of its Python.

    Packages for development would count otherwise: some libraries import others that are there.
    """
    uv = str(BIN / "uv")
    python = str(folder / BIN.name / "python")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*install, "-r", str(project / "requirements.txt")],
    ):
        if subprocess.run(command, env=clean_environment(), check=False).returncode:
            raise fatal("the service's packages could not be installed. The reason is above.")
    return python


def reference_database(project: Path, service_url: str, folder: Path) -> str:
    """Return the address of an empty database for the reference apps, on the service's server."""
    scheme, _, rest = service_url.partition("://")
    if scheme.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{folder / 'reference.db'}"
    address = "postgresql+asyncpg://" + rest.partition("?")[0]
    statement = "import asyncio, asyncpg, sys\nasync def main():\n"
    statement += "    connection = await asyncpg.connect(sys.argv[1])\n"
    statement += "    await connection.execute('CREATE DATABASE reference')\n"
    statement += "    await connection.close()\nasyncio.run(main())\n"
    subprocess.run(
        [program(project, "python"), "-c", statement, address.replace("+asyncpg", "")],
        env={**clean_environment(), "PYTHONPATH": str(folder / "asyncpg")},
        check=True,
    )
    return address.rpartition("/")[0] + "/reference"


@contextmanager
def prepared(project: Path, database: str, folder: Path) -> Iterator[list[Subject]]:
    """Fill the databases and yield the subjects, the service first."""
    env = {
        **clean_environment(),
        "CWD": str(project),
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "json",  # as in production
        "SHUTDOWN_DELAY": "0",
        "ALLOW_SIGNUP": "true",
    }
    print(f"Adding {USERS:,} users ...", flush=True)
    holder = inside(project, "open_database.py", str(USERS), env=env)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        opened = json.loads(holder.stdout.readline())
        install_asyncpg(folder / "asyncpg")
        python = install_runtime(project, folder / "runtime")
        add_empty_route(project)
        reference = reference_database(project, opened["url"], folder)
        reference_env = {
            **env,
            "DATABASE": reference,
            "PYTHONPATH": os.pathsep.join([str(INSIDE), str(folder / "asyncpg")]),
        }
        filled = subprocess.run(
            [python, str(INSIDE / "reference_textbook.py"), str(USERS)],
            env=reference_env,
            stdout=subprocess.PIPE,
            check=True,
        )
        pin_postgres()
        service = Subject(
            "service",
            [python, "-m", "app"],
            {**env, "DATABASE_URL": opened["url"]},
            requests_of(opened["tokens"], "/api/v1", empty="/empty", page="", log_in="/auth/token"),
        )
        page = find_page(service, 1000, folder)
        service.requests["page 1,000"][:] = [
            Request("GET", page, request.token) for request in service.requests["current user"]
        ]
        references = [
            Subject(
                name,
                [
                    *(python, "-m", "uvicorn", f"reference_{name}:app"),
                    *("--port", "{port}", "--no-access-log"),
                ],
                reference_env,
                requests_of(
                    json.loads(filled.stdout),
                    "",
                    empty="/readyz",
                    page=f"/users?limit={PAGE_LIMIT}&offset={PAGE_LIMIT * 999}",
                    log_in="/token",
                ),
            )
            for name in (["textbook", "raw"] if database == "postgresql" else ["textbook"])
        ]
        yield [service, *references]
    finally:
        holder.stdin.close()
        holder.wait(timeout=START_SECONDS)


def pin_postgres() -> None:
    """Keep PostgreSQL off the first processor: new connections inherit that from its parent."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == "postgres":
                pin(int(path.parent.name), to_first=False)
        except OSError:
            continue  # it has ended, or belongs to somebody else


def table(results: Sequence[Result]) -> str:
    lines = [
        f"{'route':14}{'workers':>8}{'conn.':>7}  {'subject':10}{'req/s':>8}{'ratio':>7}{'p50 ms':>9}"
        f"{'p99 ms':>9}{'max ms':>9}{'503':>6}{'failed':>8}{'CPU us':>8}{'MiB':>7}{'start s':>9}"
    ]
    textbook = {
        (each.route, each.connections, each.workers): each.requests_per_second
        for each in results
        if each.subject == "textbook"
    }
    for each in results:
        # None at all within a measurement, for example of hundreds of logins at once.
        of_textbook = textbook[each.route, each.connections, each.workers] or float("nan")
        ratio = each.requests_per_second / of_textbook
        lines.append(
            f"{each.route:14}{each.workers:8}{each.connections:7}  {each.subject:10}"
            f"{each.requests_per_second:8,.0f}{ratio:7.2f}{each.p50_ms:9.1f}{each.p99_ms:9.1f}"
            f"{each.max_ms:9.1f}{each.rejected:6}{each.failed:8}{each.cpu_us:8,.0f}"
            f"{each.memory_mib:7.0f}{each.start_seconds:9.2f}"
        )
    return "\n".join(lines)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", choices=CHOICES["database"], default="postgresql")
    parser.add_argument("--connections", type=numbers, default=[1, 32, 256], metavar="N,N")
    parser.add_argument("--workers", type=numbers, default=[1, 2], metavar="N,N")
    parser.add_argument(
        "--routes", type=lambda text: text.split(";"), default=ROUTES, metavar="NAME;NAME"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="measurements of each subject (default: 3)"
    )
    parser.add_argument(
        "--seconds", type=float, default=3, help="length of a measurement (default: 3)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw them as an SVG")


def run(options: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux") or shutil.which("wrk") is None:
        raise fatal("this benchmark needs Linux and wrk. Try: apt-get install wrk")
    unknown = set(options.routes) - set(ROUTES)
    if unknown:
        raise fatal(f"there is no route {min(unknown)!r}. There are: {'; '.join(ROUTES)}")
    results: list[Result] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        project = stack.enter_context(generated_service(options.database))
        subjects = stack.enter_context(prepared(project, options.database, folder))
        for workers in options.workers:
            for connections in options.connections:
                for route in options.routes:
                    limits = {"RATE_LIMIT_ENABLED": "false"} if route in HASHING else {}
                    results += measure(
                        [
                            Subject(each.name, each.command, {**each.env, **limits}, each.requests)
                            for each in subjects
                        ],
                        route,
                        connections=connections,
                        workers=workers,
                        rounds=options.rounds,
                        seconds=options.seconds,
                        folder=folder,
                    )
                    print(f"{route}, {connections} connections, {workers} worker(s)", flush=True)
                    if options.json:  # each time, so that an interruption loses nothing
                        content: list[dict[str, Any]] = [asdict(each) for each in results]
                        options.json.write_text(json.dumps(content, indent=1) + "\n")
    print(table(results))
    if options.chart:
        options.chart.write_text(chart.draw(results), encoding="utf-8")
    return 0
