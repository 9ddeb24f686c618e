"""Logging: one format for every line, those of uvicorn and libraries too, with the request's id."""

import logging.config
import sys
import warnings
from contextvars import ContextVar
from typing import Any, Literal

import structlog
from opentelemetry import trace
from structlog.tracebacks import ExceptionDictTransformer

# These belong to each line of a request: its id, the client's address, and the signed-in user.
request_id_var = ContextVar("request_id", default="")
client_var = ContextVar("client", default="")
user_id_var = ContextVar("user_id", default="")
_REQUEST_VARS = (request_id_var, client_var, user_id_var)

# One line for each request, without the server's own. `--no-access-log` disables it.
access_logger = logging.getLogger("app.access")


def _add_request_fields(
    _logger: logging.Logger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for variable in _REQUEST_VARS:
        if value := variable.get():
            event[variable.name] = value
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def _drop_color_message(
    _logger: logging.Logger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    # uvicorn's second copy of the message, with colours.
    event.pop("color_message", None)
    return event


# Local variables may hold passwords and tokens.
_describe_traceback = ExceptionDictTransformer(show_locals=False)


def _describe_exception(exc_info: structlog.typing.ExcInfo) -> list[dict[str, Any]]:
    """Return an exception and its causes as fields.

    Only the first line of each message is kept: the others of database and validation errors quote
    rows and input.
    """
    stacks = _describe_traceback(exc_info)
    _shorten_messages(stacks)
    errors = getattr(exc_info[1], "errors", None)
    if callable(errors):  # a validation error of pydantic or FastAPI
        stacks[0]["problems"] = [
            {"place": ".".join(map(str, problem["loc"])), "type": problem["type"]}
            for problem in errors()
        ]
    return stacks


def _shorten_messages(stacks: list[dict[str, Any]]) -> None:
    for stack in stacks:
        stack["exc_value"] = stack["exc_value"].partition("\n")[0]
        for group in stack["exceptions"]:
            _shorten_messages(group)


def _drop_query(record: logging.LogRecord) -> bool:
    """Drop the query from uvicorn's lines about WebSockets: browsers can send a token only there."""
    if "WebSocket" in str(record.msg) and isinstance(record.args, tuple):
        record.args = tuple(
            value.partition("?")[0] if isinstance(value, str) else value for value in record.args
        )
    return True


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_request_fields,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    _drop_color_message,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 -- Python passes it
) -> str:
    # One line; Python's own text has a second one with the source.
    return f"{category.__name__}: {message} ({filename}:{lineno})"


def configure_logging(level: str, log_format: Literal["console", "json"]) -> None:
    """Write all log lines and Python's warnings to standard error, as text for people or as JSON.

    Log with `logging.getLogger(__name__)`. Values that are passed as `extra={...}` or bound with
    `structlog.contextvars` become fields of the line.
    """
    renderers: list[structlog.typing.Processor]
    if log_format == "json":
        renderers = [
            structlog.processors.ExceptionRenderer(_describe_exception),
            structlog.processors.JSONRenderer(),
        ]
    else:
        # Without local variables too, but with whole messages: this is for development.
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "default": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *renderers,
                ],
            }
        },
        "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "default"}},
        "root": {"handlers": ["default"], "level": level},
        "loggers": {
            # uvicorn installs its own handlers before it imports the application.
            "uvicorn": {"handlers": [], "propagate": True},
            "uvicorn.error": {"handlers": [], "propagate": True},
            # It logs the parameters of statements at DEBUG.
            "aiosqlite": {"level": "INFO"},
            # The middleware logs each request.
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }
    logging.config.dictConfig(config)
    logging.getLogger("uvicorn.error").addFilter(_drop_query)
    logging.captureWarnings(True)
    warnings.formatwarning = _format_warning
