"""The post-generation hook: which files it keeps, when it sets up, and that it doesn't fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import pytest
from cookiecutter.utils import create_env_with_context

from dev import ROOT
from hooks import post_gen_project as hook
from tests.support import git

ANSWERS = {
    "database": "sqlite",
    "telemetry": "no",
    "layer_names": "default",
    "ci": "github",
    "deployment": "docker_and_kubernetes",
    "_layers": "",
    "_layer_names": {"default": "api db", "other": "rest orm"},
    "setup_environment": False,
    "init_git": False,
}
# Stands in for scripts/setup_environment.py, which has tests of its own.
SETUP = """
import json, pathlib
def main(arguments):
    pathlib.Path("arguments.json").write_text(json.dumps(arguments))
    {trouble}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A rendered project of small files: all that the tables list, and a few others."""
    root = tmp_path / "service"
    listed = [path for paths in hook.ONLY_WITH.values() for path in paths]
    listed.remove(".github")  # a folder, which another answer has a file in
    for path in [
        *listed,
        *hook.INSTEAD_OF.values(),
        hook.RENAMING,
        "README.md",
        "app/db/session.py",
    ]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "scripts").mkdir(exist_ok=True)
    (root / "scripts/setup_environment.py").write_text(SETUP.format(trouble="pass"))
    return root


def rendered_hook(project: Path, **answers: object) -> Path:
    settings = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    delimiters = settings["_jinja2_env_vars"]
    context = {"cookiecutter": {"_jinja2_env_vars": delimiters, **ANSWERS, **answers}}
    source = (ROOT / "hooks/post_gen_project.py").read_text("utf-8")
    path = project.parent / "rendered_hook.py"
    path.write_text(create_env_with_context(context).from_string(source).render(**context))
    return path


def run_hook(
    project: Path, *, stdout: int | IO[bytes] = subprocess.PIPE, **answers: object
) -> subprocess.CompletedProcess[str]:
    """Render the hook and run it in the project, as cookiecutter does."""
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, rendered_hook(project, **answers)],
        cwd=project,
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def was_set_up(project: Path) -> bool:
    """Return whether the hook has run the script, without arguments."""
    path = project / "arguments.json"
    return path.exists() and json.loads(path.read_text()) == []


def files_of(project: Path) -> set[str]:
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


# The files of the chosen answers


def test_tables_list_only_answers_that_exist() -> None:
    settings = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    for answer, values in hook.ONLY_WITH:
        assert {*values.split()} <= {*settings[answer]}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_files_of_the_chosen_answer_are_kept(project: Path, database: str) -> None:
    result = run_hook(project, database=database, setup_environment=True)
    assert result.returncode == 0, result.stderr
    expected = {"README.md", "app/db/session.py", *hook.INSTEAD_OF.values()}
    expected |= {"scripts/setup_environment.py", "arguments.json"}
    expected |= {*hook.ONLY_WITH["database", database]} - hook.INSTEAD_OF.keys()
    expected |= {*listed("deployment")}
    assert files_of(project) == expected
    for special, path in hook.INSTEAD_OF.items():
        kept = special if database == "postgresql" else path
        assert (project / path).read_text() == kept
    # No empty folders, and no compiled files.
    assert (project / "tests/db").exists() == (database == "postgresql")
    assert not list(project.rglob("__pycache__"))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_file_of_an_answer_that_was_not_chosen_is_kept(project: Path, database: str) -> None:
    """Not even the one that replaces another for the database."""
    assert run_hook(project, database=database, deployment="none").returncode == 0
    assert not {*listed("deployment")} & files_of(project)


def listed(answer: str) -> list[str]:
    return [path for (name, _), paths in hook.ONLY_WITH.items() if name == answer for path in paths]


def test_folders_and_emptied_folders_are_removed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    for path in ("extra/inner/file", "outer/inner/file", "outer/other"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    hook.remove("extra")
    hook.remove("outer/inner/file")
    assert not Path("extra").exists()
    assert [path.name for path in Path("outer").iterdir()] == ["other"]


@pytest.mark.parametrize("missing", ["requirements-dev.txt", "app/db/local_postgres.py"])
def test_missing_file_fails_before_anything_is_removed(project: Path, missing: str) -> None:
    (project / missing).unlink()
    before = files_of(project)
    result = run_hook(project, database="postgresql")
    assert result.returncode == 1
    assert missing in result.stderr
    assert "Traceback" not in result.stderr
    assert files_of(project) == before


def test_marker_of_an_interrupted_generation_is_removed(project: Path) -> None:
    (project / hook.MARKER).touch()
    assert run_hook(project).returncode == 0
    assert not (project / hook.MARKER).exists()


def test_module_next_to_the_hook_is_not_imported(project: Path) -> None:
    """Cookiecutter runs the hook in a folder that all users share."""
    (project.parent / "json.py").write_text("raise SystemExit('imported')")
    assert run_hook(project).stderr == ""


# Commit and set-up


@pytest.mark.parametrize("setup_environment", [True, False])
@pytest.mark.parametrize("init_git", [True, False])
def test_answers_decide_about_commit_and_set_up(
    project: Path, setup_environment: bool, init_git: bool
) -> None:
    result = run_hook(project, setup_environment=setup_environment, init_git=init_git)
    assert result.returncode == 0, result.stderr
    assert (project / ".git").exists() == init_git
    assert ("Made the first commit" in result.stdout) == init_git
    assert was_set_up(project) == setup_environment
    script = str(project / "scripts/setup_environment.py")
    assert (f"To set up the service: python3 {script!a}" in result.stdout) != setup_environment


def test_commit_is_made_before_the_set_up(project: Path) -> None:
    """So it can't hold a secret."""
    assert run_hook(project, setup_environment=True, init_git=True).returncode == 0
    assert was_set_up(project)
    assert "arguments.json" not in git(project, "ls-files").splitlines()


def test_skipped_commit_does_not_stop_the_set_up(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    result = run_hook(project, setup_environment=True, init_git=True)
    assert result.returncode == 0
    assert "Skipped the first commit: git is not installed.\n" in result.stdout
    assert was_set_up(project)


@pytest.mark.parametrize(
    "trouble", ["return 1", "raise SystemExit(2)", "raise KeyboardInterrupt", "1 / 0", "import x"]
)
def test_failed_set_up_keeps_the_project(project: Path, trouble: str) -> None:
    """Cookiecutter deletes the project when a hook fails."""
    script = project / "scripts/setup_environment.py"
    script.write_text(SETUP.format(trouble=trouble))
    result = run_hook(project, setup_environment=True)
    assert result.returncode == 0
    if trouble != "return 1":  # the script has explained that one itself
        assert f"To set up the service: python3 {str(script)!a}" in result.stderr


def test_closed_output_keeps_the_project(project: Path) -> None:
    """As after `cookiecutter ... | head -1`, where nobody reads the rest."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        result = run_hook(project, stdout=output, setup_environment=True, init_git=True)
    assert result.returncode == 0, result.stderr
    assert was_set_up(project)


def test_messages_are_printed_in_ascii(project: Path) -> None:
    outer = project.parent / "Zoë"
    outer.mkdir()
    git(outer, "init", "--quiet")
    project = project.rename(outer / "service")
    result = run_hook(project, init_git=True)
    assert result.returncode == 0, result.stderr
    assert r"inside another repository, " in result.stdout
    assert result.stdout.isascii()


# Cruft


def test_cruft_comparison_is_not_finished(project: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rendered = project.rename(Path(folder) / "service")
        result = run_hook(rendered, setup_environment=True, init_git=True, _commit="0123abc")
        assert result.returncode == 0, result.stderr
        assert not was_set_up(rendered)
        assert not (rendered / ".git").exists()
        assert not (rendered / "app/db/local_postgres.py").exists()
        # `cruft diff` writes a patch to standard output.
        assert result.stdout == ""
        # Someone may have a folder with such a name, so the message says how to go on.
        assert result.stderr.count("\n") == 1
        assert f"python3 {str(rendered / hook.SETUP)!a}" in result.stderr


def test_cruft_create_sets_up(project: Path) -> None:
    result = run_hook(project, setup_environment=True, _commit="0123abc")
    assert result.returncode == 0, result.stderr
    assert was_set_up(project)
    assert hook.RECORD not in result.stdout  # cruft writes it


def test_cruft_create_sets_up_in_a_folder_with_a_temporary_name(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "tmpabcd1234").mkdir()
    rendered = project.rename(tmp_path / "tmpabcd1234/service")
    result = run_hook(rendered, setup_environment=True, _commit="0123abc")
    assert result.returncode == 0, result.stderr
    assert was_set_up(rendered)


def test_cookiecutter_sets_up_in_a_temporary_folder(project: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rendered = project.rename(Path(folder) / "service")
        assert run_hook(rendered, setup_environment=True).returncode == 0
        assert was_set_up(rendered)
