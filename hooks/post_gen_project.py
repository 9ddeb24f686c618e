"""Finish a generated project: remove what the answers leave out, record its origin, set it up.

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

# Few modules (no pathlib, no typing): importing them takes longer than the rest of this.
import importlib
import json
import os
import re
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Answers come in as data and can't become code: `tojson` writes ASCII on one line, and JSON
# never has three unescaped quotes in a row, so nothing in it can end a raw string.
ANSWERS = r"""{{ cookiecutter | tojson }}"""
# These have fixed values.
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
        "tests/crud/test_page_postgres.py",
        "tests/db/test_local_postgres.py",
        "tests/faults/test_postgres.py",
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

# Where cruft looks for the origin of a project, to update it.
RECORD = ".cruft.json"
# They would make git look at another repository than the template's.
FOREIGN_VARIABLES = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"}


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


def record_origin(answers: Mapping[str, object]) -> str | None:
    """Write template, commit and answers as cruft does when it generates a project itself.

    Returns why there is no commit that could be named: such as a zip file, or a repository with
    changes.
    """
    folder = template_folder(answers)
    if folder is None:
        return "the template's folder was not found"
    if not os.path.exists(os.path.join(folder, ".git")):
        return "the template is not a git repository"
    try:
        head, *changes = git(folder, "status", "--porcelain=v2", "--branch").splitlines()
        commit = head.removeprefix("# branch.oid ")
        if commit == "(initial)":
            return "the template has no commit yet"
        if any(not line.startswith("# ") for line in changes):
            return "the template has changes that are not committed"
        is_clone = answers["_repo_dir"] != answers["_template"]
        address = git(folder, "config", "remote.origin.url") if is_clone else folder
    except (OSError, subprocess.CalledProcessError):
        return "git knows no commit of the template"
    address = without_password(address)
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    record = {
        "template": address,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {**given, "_template": address, "_commit": commit}},
        "directory": None,
    }
    # In ASCII: cruft reads it in whatever encoding the system prefers.
    with open(RECORD, "w", encoding="ascii", newline="\n") as file:
        file.write(json.dumps(record, indent=2) + "\n")
    return None


def without_password(address: str) -> str:
    """Leave out what has no place in a file that is committed, as the hook before this does."""
    if re.match(r"(?i)(git\+)?https?:", address):
        return re.sub(r"(?i)^([a-z+]+://)[^/]*@", r"\1", address)
    return re.sub(r"(?i)^([a-z+]+://[^/:@]*):[^/]*@", r"\1@", address)


def template_folder(answers: Mapping[str, object]) -> str | None:
    """Find where cookiecutter has read the template; a relative path is relative to its start."""
    starts = [os.environ.get("PWD"), answers.get("_output_dir")]
    for start in filter(None, starts):
        folder = os.path.realpath(os.path.join(str(start), str(answers.get("_repo_dir"))))
        if os.path.isfile(os.path.join(folder, "cookiecutter.json")):
            return folder
    return None


def git(folder: str, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in FOREIGN_VARIABLES}
    # Not the repository that the folder may be in.
    environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(folder)
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.strip()


def is_cruft_comparison() -> bool:
    """Tell whether `cruft update` or `cruft diff` renders only to compare.

    They do that in a new temporary folder; `cruft create` renders where its user wants it.
    """
    if RENDERED_BY_CRUFT != YES:
        return False
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
    if RENDERED_BY_CRUFT != YES:
        reason = record_origin(json.loads(ANSWERS))
        if reason:
            print(f"No {RECORD} was written, which `cruft update` needs: {reason}.")
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
