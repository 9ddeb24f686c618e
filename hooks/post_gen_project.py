"""Finish a generated project: remove what the answers leave out, and set it up.

Cookiecutter renders this file and runs it in the new project. It deletes the project when this
fails, so only a mistake of the template is a failure; what goes wrong on the machine (no
network, no space, Ctrl-C) is explained, and the project is kept.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # This is a temporary file. Whoever puts a json.py beside it, in the folder that all users of
    # the machine share, shall not have it imported.
    del sys.path[0]

# Few modules: importing them takes longer than the rest of this.
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Only answers with fixed values, and none that is text, so that they can't become code.
CHOSEN = {
    "database": "{{ cookiecutter.database }}",
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
        "app/db/local_with_postgres.py",
        "docs/database.postgresql.md",
        "requirements-dev.postgresql.txt",
        "tests/crud/test_lists_postgres.py",
        "tests/db/local_postgres",
        "tests/db/test_read_session_postgres.py",
        "tests/faults/postgres",
    ],
}

# Those of them that take the place of another file.
INSTEAD_OF = {
    "app/db/local_with_postgres.py": "app/db/local.py",
    "docs/database.postgresql.md": "docs/database.md",
    "requirements-dev.postgresql.txt": "requirements-dev.txt",
}

SETUP = "scripts/setup_environment.py"

# The hook before the generation has put it there.
MARKER = "INCOMPLETE.txt"


def missing_paths() -> list[str]:
    """Find mistakes in the table above (and in the rendered project)."""
    listed = [path for paths in ONLY_WITH.values() for path in paths]
    return [path for path in [*listed, *INSTEAD_OF.values(), SETUP] if not os.path.exists(path)]


def keep_chosen(chosen: Mapping[str, str]) -> None:
    for (answer, value), paths in ONLY_WITH.items():
        for path in paths:
            if chosen[answer] != value:
                remove(path)
            elif path in INSTEAD_OF:
                os.replace(path, INSTEAD_OF[path])


def remove(path: str) -> None:
    """Remove a file or folder of the project, and the folders that are empty then."""
    if os.path.isdir(path):
        import shutil  # noqa: PLC0415 - see above

        shutil.rmtree(path)
    else:
        os.unlink(path)
    folder = os.path.dirname(path)
    while folder and not os.listdir(folder):
        os.rmdir(folder)
        folder = os.path.dirname(folder)


def is_cruft_comparison() -> bool:
    """Tell whether `cruft update` or `cruft diff` renders only to compare.

    They do that in a new temporary folder; `cruft create` renders where its user wants it.
    """
    if RENDERED_BY_CRUFT != YES:
        return False
    import re  # noqa: PLC0415 - see above
    import tempfile  # noqa: PLC0415 - see above

    place, name = os.path.split(os.path.dirname(os.path.realpath(os.getcwd())))
    return (
        place == os.path.realpath(tempfile.gettempdir())
        and re.fullmatch(r"tmp[a-z0-9_]{8}", name) is not None
    )


def set_up(script: str, *, environment: bool, git: bool) -> None:
    """Run the project's own scripts/setup_environment.py, in this process.

    Whatever goes wrong in it, the project is whole and must not be deleted.
    """
    if not environment and not git:
        print(f"The files are complete. To set the service up: python3 {script!a}")
        return
    import importlib  # noqa: PLC0415 - see above

    sys.dont_write_bytecode = True  # no __pycache__ in the new project
    folder, name = os.path.split(script)
    sys.path.insert(0, folder)
    try:
        setup = importlib.import_module(name.removesuffix(".py"))
        arguments = ["--init-git"] if git else []
        if not environment:
            arguments += ["--skip", *(step.name for step in setup.STEPS if step.name != "git")]
        setup.main(arguments)
    except (Exception, KeyboardInterrupt, SystemExit):  # noqa: BLE001 - see above
        sys.excepthook(*sys.exc_info())
        sys.stderr.write(f"The project is complete, but not set up: {script!a}\n")


def main() -> int:
    missing = missing_paths()
    if missing:
        sys.stderr.write(f"A mistake of the template: no {', '.join(missing)} was rendered.\n")
        return 1
    keep_chosen(CHOSEN)
    if os.path.exists(MARKER):
        os.unlink(MARKER)
    script = os.path.join(os.getcwd(), *SETUP.split("/"))
    if is_cruft_comparison():
        # Not to standard output, which may be the patch that `cruft diff` writes.
        sys.stderr.write(
            "Nothing is set up, for this looks like a comparison of cruft's. If it is "
        )
        sys.stderr.write(f"none: python3 {script!a}\n")
    else:
        set_up(script, environment=SETUP_ENVIRONMENT == YES, git=INIT_GIT == YES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
