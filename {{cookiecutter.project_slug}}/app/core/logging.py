"""Logging: one format for every line, those of uvicorn and libraries too, with the request's id."""

import logging.config
import sys
import warnings
from contextvars import ContextVar
from typing import Any, Literal

import structlog

# These belong to each line of a request: its id, the client's address, and the signed-in user.
request_id_var = ContextVar("request_id", default="")
client_var = ContextVar("client", default="")
user_id_var = ContextVar("user_id", default="")
_REQUEST_VARS = (request_id_var, client_var, user_id_var)


def _add_request_fields(
    _logger: logging.Logger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for variable in _REQUEST_VARS:
        if value := variable.get():
            event[variable.name] = value
    return event


def _drop_color_message(
    _logger: logging.Logger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    # uvicorn's second copy of the message, with colours.
    event.pop("color_message", None)
    return event


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
    # Tracebacks don't show local variables, which may hold passwords and tokens.
    if log_format == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
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
            # The middleware logs each request.
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }
    logging.config.dictConfig(config)
    logging.captureWarnings(True)
    warnings.formatwarning = _format_warning
