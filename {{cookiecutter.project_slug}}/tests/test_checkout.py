"""The files of this checkout."""

from app.core.config import ROOT


def test_hooks_of_the_template_have_run() -> None:
    """Without them (`--accept-hooks=no`), files of all answers are here."""
    left = ["requirements-dev.postgresql.txt", "docs/database.postgresql.md", "INCOMPLETE.txt"]
    assert [name for name in left if (ROOT / name).exists()] == []
