"""Whatever is sent to the service, it behaves as its OpenAPI document says.

Schemathesis generates requests, valid and invalid ones and chains of them. The short run belongs to
the tests; `poe contract` runs the long one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import URL

from app.core.config import ROOT
from tests.service import environment, running_service

# The fixture empties the database.
pytestmark = pytest.mark.usefixtures("database")

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ROLES = ["superuser", "user", "nobody"]


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_few_requests_of_each_kind_keep_the_contract(
    migrated_database_url: URL, tmp_path: Path, role: str
) -> None:
    # The same requests in each run: a check that fails now and then stops people who changed nothing.
    options = ("--phases=fuzzing,stateful", "--max-examples=2", "--generation-deterministic")
    run(migrated_database_url, tmp_path, role, *options)


@pytest.mark.long
def test_thousands_of_requests_keep_the_contract(
    migrated_database_url: URL, tmp_path: Path
) -> None:
    cases = [run(migrated_database_url, tmp_path, role, "--max-examples=100") for role in ROLES]
    assert sum(cases) >= 5000


def may_reject_valid_input(operation: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Return whether the operation takes a cursor, or in its body ids of other rows or any JSON."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    fields = schemas.get(name, {}).get("properties", {})
    return (
        any(field.endswith(("_id", "_ids")) for field in fields)
        or '"additionalProperties": true' in json.dumps(fields)  # numbers in it have limits
        or any(parameter["name"] == "cursor" for parameter in operation.get("parameters", []))
    )


def may_accept_invalid_input(operation: dict[str, Any]) -> bool:
    """Return whether the operation takes a file. The parts of a form have no types to be wrong."""
    return "multipart/form-data" in operation.get("requestBody", {}).get("content", {})


def with_own_routes(configuration: str, address: str) -> str:
    """Add the exceptions for lists, references and uploads, which the OpenAPI document names."""
    document = httpx2.get(f"{address}/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    schemas = document["components"]["schemas"]
    start = "include-operation-id = [\n"
    assert start in configuration
    rejecting = "".join(
        f'    "{operation["operationId"]}",\n'
        for operation in operations
        if may_reject_valid_input(operation, schemas)
    )
    accepting = "".join(
        f'\n[[operations]]\ninclude-operation-id = "{operation["operationId"]}"\n'
        'checks.negative_data_rejection.expected-statuses = ["2xx", "4xx"]\n'
        for operation in operations
        if may_accept_invalid_input(operation)
    )
    return configuration.replace(start, start + rejecting) + accepting


def run(url: URL, directory: Path, role: str, *options: str) -> int:
    """Send requests in this role, check the responses, and return how many there were."""
    with running_service(url, directory) as service:
        configuration = directory / CONFIGURATION.name
        configuration.write_text(with_own_routes(CONFIGURATION.read_text("utf-8"), service.address))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={configuration}"),
            *("run", f"{service.address}/openapi.json", "--no-color"),
            *("--checks=all", "--continue-on-failure", *options),
        ]
        variables = environment(
            url,
            CONTRACT_ADDRESS=service.address,
            CONTRACT_ROLE=role,
            SCHEMATHESIS_HOOKS=f"tests.contract.{'filters' if role == 'nobody' else 'hooks'}",
            PYTHONPATH=str(ROOT),
        )
        result = subprocess.run(
            command, cwd=directory, env=variables, capture_output=True, text=True, check=False
        )
    report = result.stdout + result.stderr
    assert result.returncode == 0, report
    sys.stdout.write(report)
    match = re.search(r"(\d+) generated", report)
    assert match is not None, report
    return int(match[1])
