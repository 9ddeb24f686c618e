"""The newest revision is found without Alembic, and is the one that Alembic finds."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.core.config import ROOT
from app.db.revisions import head_revision


def test_head_is_the_one_of_alembic() -> None:
    scripts = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert head_revision() == scripts.get_current_head()


@pytest.mark.parametrize(
    ("files", "head"),
    [
        ([], None),
        (["revision: str = 'a'\ndown_revision: str | None = None"], "a"),
        (["revision = 'b'\ndown_revision = 'a'", "revision = 'a'\ndown_revision = None"], "b"),
        (["revision = 'b'\ndown_revision = 'a'", "revision = 'c'\ndown_revision = 'a'"], "b, c"),
        (
            [
                "revision = 'b'\ndown_revision = 'a'",
                "revision = 'c'\ndown_revision = 'a'",
                "revision = 'd'\ndown_revision = ('b', 'c')\nother = print",
            ],
            "d",
        ),
    ],
    ids=["none", "first", "second", "branches", "merge"],
)
def test_head_is_what_no_other_revision_follows(
    files: list[str], head: str | None, tmp_path: Path
) -> None:
    for number, text in enumerate(files):
        (tmp_path / f"{number}.py").write_text(text, "utf-8")
    assert head_revision(tmp_path) == head
