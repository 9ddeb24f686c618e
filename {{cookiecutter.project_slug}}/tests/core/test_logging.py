"""Logging. It is global, so each test configures it in a process of its own."""

import json
import subprocess
import sys

import pytest

from app.core.config import ROOT

SCRIPT = """
import logging, sys, warnings
import structlog
from app.core.logging import client_var, configure_logging, request_id_var, user_id_var
from opentelemetry import trace

configure_logging("INFO", sys.argv[1])
logging.getLogger("app.test").info("before any request")
context = trace.SpanContext(trace_id=10, span_id=11, is_remote=False)
with trace.use_span(trace.NonRecordingSpan(context)):
    logging.getLogger("app.test").info("traced")
request_id_var.set("abc")
client_var.set("192.0.2.1")
user_id_var.set("u1")
structlog.contextvars.bind_contextvars(order=7)
logging.getLogger("app.test").info("hello %s", "world", extra={"count": 3})
logging.getLogger("uvicorn.error").info("started", extra={"color_message": "colours"})
logging.getLogger("uvicorn.access").info("replaced by our own access log")
logging.getLogger("app.test").debug("below the level")
warnings.warn_explicit("too old", DeprecationWarning, "library.py", 7)
try:
    password = "local variable"
    raise RuntimeError("failed")
except RuntimeError:
    logging.getLogger("app.test").exception("problem")
"""

SECRETS = """
import asyncio, logging
import aiosqlite, psycopg
from fastapi.exceptions import ResponseValidationError
from pydantic import BaseModel, TypeAdapter
from app.core.logging import configure_logging

configure_logging("DEBUG", "json")
logger = logging.getLogger("app.test")


class Thing(BaseModel):
    number: int


def validate():
    TypeAdapter(list[Thing]).validate_python([{"number": "s3cret"}])


def answer():
    raise ResponseValidationError([{"loc": ("response", "number"), "type": "int", "input": "s3cret"}])


def insert():
    text = "null value in column\\nDETAIL:  Failing row contains (7, s3cret)."
    try:
        raise psycopg.errors.NotNullViolation(text)
    except psycopg.Error as error:
        raise RuntimeError("could not insert\\n[parameters: s3cret]") from error


def insert_many():
    try:
        insert()
    except RuntimeError as error:
        raise ExceptionGroup("several", [error])


for fail in (validate, answer, insert, insert_many):
    try:
        fail()
    except Exception:
        logger.exception(fail.__name__)

uvicorn = logging.getLogger("uvicorn.error")
uvicorn.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:5", "/live?token=s3cret")
uvicorn.info("Started server process [%d]", 7)


async def query():
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("SELECT ?", ("s3cret",))


asyncio.run(query())
"""


def run(*arguments: str, script: str = SCRIPT) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-W", "always", "-c", script, *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_json_lines_have_the_context_and_extra_fields() -> None:
    lines = [json.loads(line) for line in run("json")]
    assert not {"request_id", "trace_id"} & lines.pop(0).keys()
    traced = lines.pop(0)
    assert (traced["trace_id"], traced["span_id"]) == (f"{10:032x}", f"{11:016x}")
    warning = lines.pop(2)
    assert warning["event"] == "DeprecationWarning: too old (library.py:7)"
    assert (warning["level"], warning["logger"]) == ("warning", "py.warnings")
    assert [line["event"] for line in lines] == ["hello world", "started", "problem"]
    assert {(line["request_id"], line["order"]) for line in lines} == {("abc", 7)}
    assert {(line["client"], line["user_id"]) for line in lines} == {("192.0.2.1", "u1")}
    assert lines[0]["count"] == 3
    assert lines[0]["level"] == "info"
    assert lines[0]["logger"] == "app.test"
    assert lines[0]["timestamp"].endswith("Z")
    assert "color_message" not in lines[1]
    (exception,) = lines[2]["exception"]
    assert (exception["exc_type"], exception["exc_value"]) == ("RuntimeError", "failed")
    raised_at = SCRIPT.splitlines().index('    raise RuntimeError("failed")') + 1
    assert [frame["lineno"] for frame in exception["frames"]] == [raised_at]


def test_exceptions_are_fields_without_the_data_that_messages_quote() -> None:
    output = run(script=SECRETS)
    assert "s3cret" not in "\n".join(output)
    lines = {line["event"]: line for line in map(json.loads, output)}
    place = {"place": "0.number", "type": "int_parsing"}
    assert lines["validate"]["exception"][0]["problems"] == [place]
    assert lines["answer"]["exception"][0]["problems"] == [
        {"place": "response.number", "type": "int"}
    ]
    outer, cause = lines["insert"]["exception"]
    assert (outer["exc_type"], outer["exc_value"]) == ("RuntimeError", "could not insert")
    assert (cause["exc_type"], cause["exc_value"]) == ("NotNullViolation", "null value in column")
    assert cause["is_cause"]
    (group,) = lines["insert_many"]["exception"]
    assert [stack["exc_value"] for stack in group["exceptions"][0]] == [
        "could not insert",
        "null value in column",
    ]
    assert '127.0.0.1:5 - "WebSocket /live" [accepted]' in lines
    assert "Started server process [7]" in lines


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_traceback_shows_no_local_variables_and_no_colours(log_format: str) -> None:
    output = "\n".join(run(log_format))
    assert "hello world" in output
    assert "RuntimeError: failed" in output or '"exc_value": "failed"' in output
    assert "local variable" not in output.replace('password = "local variable"', "")
    assert "\x1b" not in output
