"""Fixtures of the tests of the web shell."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles


@pytest.fixture
def static_file(app: FastAPI, tmp_path: Path) -> str:
    """Return the path of a static file that Starlette serves."""
    (tmp_path / "page.css").write_text("body {}")
    app.mount("/files-of-a-test", StaticFiles(directory=tmp_path))
    return "/files-of-a-test/page.css"
