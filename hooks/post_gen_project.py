"""Finish a new service: keep the chosen files, record the origin, commit, set up.

Cookiecutter renders this file and runs it in the new project. It deletes the project when the
script fails, so only a mistake in the template is a failure. Anything that the machine may cause
(no network, no git, a full disk, Ctrl-C) is reported, and the project is kept.

The other hook explains why this one imports so little.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Cookiecutter runs this file in the shared folder for temporary files. A json.py that another
    # user of the machine has put there must not be imported.
    del sys.path[0]

import importlib
import json
import os
import re
import subprocess
from collections.abc import Mapping

TYPE_CHECKING = False  # importing typing takes longer
if TYPE_CHECKING:
    from typing import Any

# Answers enter as data; the other hook explains why they can't become code.
ANSWERS = r"""{{ cookiecutter | tojson }}"""

SETUP = "scripts/setup_environment.py"
# The other hook has written it; it stays when the rendering is interrupted.
MARKER = "INCOMPLETE.txt"
# Where cruft looks for the origin of a project.
RECORD = ".cruft.json"

# --- The files of the chosen answers ------------------------------------------------------------

# The files and folders that belong to one value of an answer, or to several. They are removed when
# another value was chosen.
ONLY_WITH: dict[tuple[str, str], list[str]] = {
    ("database", "postgresql"): [
        ".squawk.toml",
        "app/db/local_postgres.py",
        "app/db/local_with_postgres.py",
        "compose.postgresql.yaml",
        "docs/database.postgresql.md",
        "requirements-dev.postgresql.txt",
        "scripts/resource/templates/exemption.jinja",
        "tests/crud/test_lists_postgres.py",
        "tests/db/local_postgres",
        "tests/db/test_migrations_postgres.py",
        "tests/db/test_pooler_postgres.py",
        "tests/db/test_read_session_postgres.py",
        "tests/faults/postgres",
    ],
    ("database", "sqlite"): ["tests/crud/test_lists_sqlite.py"],
    ("ci", "github"): [".github"],
    ("ci", "gitlab"): [".gitlab-ci.yml"],
    ("deployment", "docker docker_and_kubernetes"): [
        ".dockerignore",
        ".github/workflows/image.yml",
        "Dockerfile",
        "compose.yaml",
        "docs/containers.md",
        "scripts/healthcheck.py",
        "scripts/pin_images.py",
        "tests/test_containers.py",
    ],
    ("deployment", "docker_and_kubernetes"): [
        "docs/kubernetes.md",
        "k8s",
        "tests/test_kubernetes.py",
    ],
    ("telemetry", "yes"): [
        "docs/telemetry.md",
        "observability",
        "requirements-telemetry.txt",
        "tests/test_telemetry_process.py",
    ],
}

# The ones among them that replace another file.
INSTEAD_OF = {
    "app/db/local_with_postgres.py": "app/db/local.py",
    "compose.postgresql.yaml": "compose.yaml",
    "docs/database.postgresql.md": "docs/database.md",
    "requirements-dev.postgresql.txt": "requirements-dev.txt",
}


def missing_paths() -> list[str]:
    """Find mistakes in the tables above, or in the rendered project."""
    listed = [path for paths in ONLY_WITH.values() for path in paths]
    return [
        path
        for path in [*listed, *INSTEAD_OF.values(), SETUP, RENAMING]
        if not os.path.exists(path)
    ]


def keep_chosen(answers: Mapping[str, object]) -> None:
    for (answer, values), paths in ONLY_WITH.items():
        for path in paths:
            if answers[answer] not in values.split():
                if os.path.exists(path):  # its folder may belong to another answer
                    remove(path)
            elif path in INSTEAD_OF:
                os.replace(path, INSTEAD_OF[path])


def remove(path: str) -> None:
    """Remove a file or folder of the project, and the folders that this leaves empty."""
    if os.path.isdir(path):
        import shutil  # noqa: PLC0415 -- slow to import, and seldom needed

        shutil.rmtree(path)
    else:
        os.unlink(path)
    folder = os.path.dirname(path)
    while folder and not os.listdir(folder):
        os.rmdir(folder)
        folder = os.path.dirname(folder)


# --- Names of the layers ------------------------------------------------------------------------

# Cookiecutter includes templates/rename_layers.py in it if there is something to rename.
RENAMING = "rename.py"


def unpack(answers: Mapping[str, Any]) -> tuple[bool, str]:
    """Return `init_git` and `_layers`, which `__layers_record` in cookiecutter.json has packed."""
    packed = answers["init_git"]
    if isinstance(packed, dict):
        return packed["answer"], packed["layers"]
    return packed, answers["_layers"]


def rename_layers(answers: Mapping[str, Any]) -> None:
    vocabularies = answers["_layer_names"]
    defaults = vocabularies["default"].split()
    names = dict(zip(defaults, vocabularies[answers["layer_names"]].split(), strict=True))
    names |= dict(pair.split("=") for pair in unpack(answers)[1].split(",") if pair)
    changed = {layer: name for layer, name in names.items() if layer != name}
    if changed:
        sys.dont_write_bytecode = True  # no __pycache__ in the new project
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(RENAMING.removesuffix(".py"))
        module.rename(module.Path(), changed)
        del sys.path[0]
    os.unlink(RENAMING)


# --- Git ----------------------------------------------------------------------------------------

# These make git work on another repository than that of the folder. A hook of git sets them.
FOREIGN_VARIABLES = {"GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"}

# The first commit is the same whatever the user has configured.
SETTINGS = (
    "commit.gpgSign=false",
    "core.excludesFile=",
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    # Together with core.autocrlf, it can forbid the line endings of the files.
    "core.safecrlf=false",
    "init.defaultBranch=main",
    # Otherwise git makes up an author from the names of the account and the machine.
    "user.useConfigOnly=true",
)
OPTIONS = [word for setting in SETTINGS for word in ("-c", setting)]


def git(folder: str, *arguments: str, search_upwards: bool = False) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in FOREIGN_VARIABLES}
    environment["LC_ALL"] = "C"  # messages in English
    if not search_upwards:
        environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(folder)
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # names of files can be any bytes
        check=True,
    ).stdout.strip()


def make_first_commit(project: str) -> str | None:
    """Commit all files to a repository in the project; return why that wasn't possible."""
    try:
        reason = prepare_repository(project)
        if reason is None:
            git(project, *OPTIONS, "add", "--all")
            git(project, *OPTIONS, "commit", "--quiet", "--message", "Start from the template")
    except FileNotFoundError:
        return "git is not installed"
    except OSError as error:
        return f"git can't be started ({error.strerror})"
    except subprocess.CalledProcessError as error:
        if "tell me who you are" in error.stderr:
            return "git doesn't know you; set user.name and user.email, then run `git commit`"
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        causes = [line for line in lines if line.startswith(("fatal:", "error:"))]
        return f"git says: {(causes or lines)[-1]}"
    return reason


def prepare_repository(project: str) -> str | None:
    """Make a repository, or take the empty one that is there; return why there is none to use."""
    if os.path.exists(os.path.join(project, ".git")):
        has_commits = git(project, "rev-list", "--all", "--max-count=1")
        return "this is a repository with commits already" if has_commits else None
    outer = outer_repository(project)
    if outer:
        return f"the folder is inside another repository, {outer}"
    git(project, *OPTIONS, "init", "--quiet", "--template=")
    return None


def outer_repository(folder: str) -> str | None:
    try:
        return git(folder, "rev-parse", "--show-toplevel", search_upwards=True)
    except subprocess.CalledProcessError as error:
        if "not a git repository" in error.stderr:
            return None
        raise


# --- Origin -------------------------------------------------------------------------------------


def record_origin(answers: Mapping[str, object]) -> str | None:
    """Write the template's address, its commit and the answers, as `cruft create` does.

    Returns why there is no commit to record, for example because the template is a zip file.
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
            return "the template has uncommitted changes"
        is_clone = answers["_repo_dir"] != answers["_template"]
        address = git(folder, "config", "remote.origin.url") if is_clone else folder
    except (OSError, subprocess.CalledProcessError):
        return "git could not read the template's commit"
    address = without_password(address)
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    if answers.get("_layers"):
        given["_layers"] = answers["_layers"]  # for readers; `init_git` has it for updates
    record = {
        "template": address,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {**given, "_template": address, "_commit": commit}},
        "directory": None,
    }
    # ASCII, because cruft reads the file in the system's preferred encoding.
    with open(RECORD, "w", encoding="ascii", newline="\n") as file:
        file.write(json.dumps(record, indent=2) + "\n")
    return None


def template_folder(answers: Mapping[str, object]) -> str | None:
    """Find the folder that cookiecutter read; a relative path starts where the user did."""
    for start in (os.environ.get("PWD"), answers.get("_output_dir")):
        folder = os.path.realpath(os.path.join(str(start), str(answers.get("_repo_dir"))))
        if start and os.path.isfile(os.path.join(folder, "cookiecutter.json")):
            return folder
    return None


def without_password(address: str) -> str:
    """Remove credentials from an address; the user in `ssh://git@...` is not a secret."""
    if re.match(r"(?i)(git\+)?https?:", address):
        return re.sub(r"(?i)^([a-z+]+://)[^/]*@", r"\1", address)
    return re.sub(r"(?i)^([a-z+]+://[^/:@]*):[^/]*@", r"\1@", address)


# --- Set-up -------------------------------------------------------------------------------------


def set_up(script: str) -> None:
    """Run the service's own script in this process; it reports progress and problems itself."""
    sys.dont_write_bytecode = True  # no __pycache__ in the new project
    folder, name = os.path.split(script)
    sys.path.insert(0, folder)
    importlib.import_module(name.removesuffix(".py")).main([])


def is_cruft_comparison(answers: Mapping[str, object]) -> bool:
    """Return whether `cruft update` or `cruft diff` renders only to compare.

    They render in a new temporary folder, `cruft create` where its user wants the project.
    """
    if "_commit" not in answers:  # cookiecutter itself doesn't set this
        return False
    import tempfile  # noqa: PLC0415 -- slow to import, and seldom needed

    place, name = os.path.split(os.path.dirname(os.path.realpath(os.getcwd())))
    return (
        place == os.path.realpath(tempfile.gettempdir())
        and re.fullmatch(r"tmp[a-z0-9_]{8}", name) is not None
    )


# --- Main ---------------------------------------------------------------------------------------


def main() -> int:
    answers = json.loads(ANSWERS)
    missing = missing_paths()
    if missing:
        sys.stderr.write(f"Mistake in the template: {', '.join(missing)} was not rendered.\n")
        return 1
    keep_chosen(answers)
    rename_layers(answers)
    if os.path.exists(MARKER):
        os.unlink(MARKER)
    script = os.path.join(os.getcwd(), *SETUP.split("/"))
    try:
        finish(answers, script)
    except (Exception, KeyboardInterrupt, SystemExit):  # noqa: BLE001 -- the project is complete
        sys.excepthook(*sys.exc_info())
        sys.stderr.write(f"All files are there. To set up the service: python3 {script!a}\n")
    return 0


def finish(answers: Mapping[str, object], script: str) -> None:
    if is_cruft_comparison(answers):
        # Not on standard output, which may be the patch that `cruft diff` writes.
        sys.stderr.write(
            "This looks like a comparison by cruft, so nothing is committed or set up. "
            f"If it is a new service, run: python3 {script!a}\n"
        )
        return
    if "_commit" not in answers:  # otherwise cruft writes the record
        reason = record_origin(answers)
        if reason:
            say(f"{RECORD} was not written, so `cruft update` will not work: {reason}.")
    if unpack(answers)[0]:
        reason = make_first_commit(os.getcwd())
        say(f"Skipped the first commit: {reason}." if reason else "Made the first commit.")
    if answers["setup_environment"]:
        set_up(script)
    else:
        say(f"The files are complete. To set up the service: python3 {script!a}")


def say(text: str) -> None:
    try:
        print(text.encode("ascii", "backslashreplace").decode(), flush=True)
    except OSError:
        # Nobody reads the output any more, for example after `| head`. Python would exit with an
        # error if the text stayed in the buffer.
        sys.stdout = open(os.devnull, "w", encoding="ascii")  # noqa: SIM115 -- used until the end


if __name__ == "__main__":
    sys.exit(main())
