"""uvicorn's `--no-access-log` turns off the log of requests."""

from typing import Any

import pytest
import uvicorn

from app.core.logging import access_logger
from app.http.access_log import respect_access_log
from app.http.shutdown import shutdown


@pytest.mark.parametrize(
    ("options", "is_disabled"), [({}, False), ({"access_log": False}, True), (None, False)]
)
def test_option_of_uvicorn_is_respected(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any] | None, is_disabled: bool
) -> None:
    handler = None  # another server's
    if options is not None:
        handler = uvicorn.Server(
            uvicorn.Config("nothing:app", log_config=None, **options)
        ).handle_exit
    monkeypatch.setattr(shutdown, "server_handler", handler)
    monkeypatch.setattr(access_logger, "disabled", False)
    respect_access_log()
    assert access_logger.disabled is is_disabled
