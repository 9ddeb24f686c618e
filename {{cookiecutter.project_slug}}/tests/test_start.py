"""The start and the first request import what they need, and nothing else."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from sqlalchemy import URL

from app.core.config import ROOT
from tests.service import environment

# Alembic, Jinja and Valkey, among others, are imported when they are needed. `python -X importtime
# -c "import app.main"` shows what a package costs; add one that each start needs.
NEEDED = {
    "aiosqlite",
    "aiosmtplib",
    "annotated-doc",
    "annotated-types",
    "anyio",
    "argon2-cffi",
    "argon2-cffi-bindings",
    "cffi",
    "click",
    "deprecated",
    "email-validator",
    "fastapi",
    "fastapi-offline",
    "greenlet",
    "idna",
    "limits",
    "opentelemetry-api",
    "packaging",
    "psycopg",
    "psycopg-binary",
    "pydantic",
    "pydantic-core",
    "pydantic-settings",
    "pyjwt",
    "python-dotenv",
    "python-multipart",
    "sqlalchemy",
    "starlette",
    "structlog",
    "typing-extensions",
    "typing-inspection",
    "uuid-utils",
    "uvicorn",
    "wrapt",
}

# Without a client, which would import packages of its own.
CODE = """
import json, sys
from app.core import event_loop
from app.main import app

async def request():
    messages = []

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": "/readyz", "query_string": b"", "headers": []}
    async with app.router.lifespan_context(app) as state:
        await app({**scope, "scheme": "http", "state": state}, None, send)
    assert messages[0]["status"] == 200, messages

event_loop.run(request())
print(json.dumps(sorted(sys.modules)))
"""


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


@pytest.mark.slow
def test_only_needed_packages_are_imported_at_start(migrated_database_url: URL) -> None:
    output = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env=environment(migrated_database_url),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    modules = {module.partition(".")[0] for module in json.loads(output)}
    packages = packages_distributions()
    imported = {canonical(name) for module in modules for name in packages.get(module, [])}
    # Packages for development, such as rich, are imported by others if they are installed.
    requirements = (ROOT / "requirements.txt").read_text("utf-8")
    runtime = {canonical(name) for name in re.findall(r"(?m)^([\w.-]+)==", requirements)}
    assert imported & runtime <= NEEDED
