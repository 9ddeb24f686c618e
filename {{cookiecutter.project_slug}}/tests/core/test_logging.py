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

configure_logging("INFO", sys.argv[1])
logging.getLogger("app.test").info("before any request")
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


def run(log_format: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-W", "always", "-c", SCRIPT, log_format],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_json_lines_have_the_context_and_extra_fields() -> None:
    lines = [json.loads(line) for line in run("json")]
    assert "request_id" not in lines.pop(0)
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
    assert "RuntimeError: failed" in lines[2]["exception"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_traceback_shows_no_local_variables_and_no_colours(log_format: str) -> None:
    output = "\n".join(run(log_format))
    assert "hello world" in output
    assert "RuntimeError: failed" in output
    assert "local variable" not in output.replace('password = "local variable"', "")
    assert "\x1b" not in output
