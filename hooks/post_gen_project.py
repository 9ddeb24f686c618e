"""Finish a generated project: remove what the answers leave out, then set it up.

Cookiecutter renders this file and runs it in the new project. It deletes the project when this
fails, so only a mistake of the template is a failure; what goes wrong on the machine (no
network, no space, Ctrl-C) is explained, and the project is kept.
"""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Only answers with fixed values come in here, so none of them can become code.
CHOSEN = {
    "database": "{{ cookiecutter.database }}",
    "license": "{{ cookiecutter.license }}",
}
SETUP_ENVIRONMENT = "{{ cookiecutter.setup_environment }}"
INIT_GIT = "{{ cookiecutter.init_git }}"
# Cruft gives this private answer, cookiecutter itself does not.
RENDERED_BY_CRUFT = "{{ cookiecutter._commit is defined }}"
YES = "True"

# The files and folders that belong to one value of an answer. They are removed when another
# value was chosen.
ONLY_WITH: dict[tuple[str, str], list[str]] = {
    ("database", "postgresql"): [
        "app/db/local_postgres.py",
        "tests/db/test_local_postgres.py",
    ],
    ("license", "MIT"): ["LICENSE.MIT"],
    ("license", "Apache-2.0"): ["LICENSE.Apache-2.0"],
    ("license", "BSD-3-Clause"): ["LICENSE.BSD-3-Clause"],
    ("license", "GPL-3.0-or-later"): ["LICENSE.GPL-3.0-or-later"],
    ("license", "proprietary"): ["LICENSE.proprietary"],
}

SETUP = "scripts/setup_environment.py"


def missing_paths(root: Path) -> list[str]:
    """Find mistakes in the table above (and in the rendered project)."""
    listed = [path for paths in ONLY_WITH.values() for path in paths]
    return [path for path in [*listed, SETUP] if not (root / path).exists()]


def remove_unchosen(root: Path, chosen: Mapping[str, str]) -> None:
    for (answer, value), paths in ONLY_WITH.items():
        if chosen[answer] != value:
            for path in paths:
                remove(root, root / path)


def remove(root: Path, path: Path) -> None:
    """Remove a file or folder, and the folders that are empty then."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    for folder in path.parents:
        if folder == root or any(folder.iterdir()):
            break
        folder.rmdir()


def is_cruft_comparison(root: Path) -> bool:
    """Tell whether `cruft update` or `cruft diff` renders only to compare.

    They do that in a new temporary folder; `cruft create` renders where its user wants it.
    """
    parent = root.resolve().parent
    return (
        RENDERED_BY_CRUFT == YES
        and parent.parent == Path(tempfile.gettempdir()).resolve()
        and re.fullmatch(r"tmp[a-z0-9_]{8}", parent.name) is not None
    )


def set_up(root: Path, *, environment: bool, git: bool) -> None:
    """Run the project's own scripts/setup_environment.py, in this process.

    Whatever goes wrong in it, the project is whole and must not be deleted.
    """
    script = root / SETUP
    sys.dont_write_bytecode = True  # no __pycache__ in the new project
    sys.path.insert(0, str(script.parent))
    try:
        setup = importlib.import_module(script.stem)
        arguments = ["--init-git"] if git else []
        if not environment:
            arguments += ["--skip", *(step.name for step in setup.STEPS if step.name != "git")]
        setup.main(arguments)
    except (Exception, KeyboardInterrupt, SystemExit):  # noqa: BLE001 - see above
        traceback.print_exc()
        sys.stderr.write(f"The project is complete, but not set up: {str(root)!a}\n")


def main() -> int:
    root = Path.cwd()
    missing = missing_paths(root)
    if missing:
        sys.stderr.write(f"A mistake of the template: no {', '.join(missing)} was rendered.\n")
        return 1
    remove_unchosen(root, CHOSEN)
    (root / f"LICENSE.{CHOSEN['license']}").replace(root / "LICENSE")
    if not is_cruft_comparison(root):
        set_up(root, environment=SETUP_ENVIRONMENT == YES, git=INIT_GIT == YES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
