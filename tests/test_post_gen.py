"""The hook after generation: what it removes, when it sets up, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cookiecutter.utils import create_env_with_context

from dev import ROOT
from hooks import post_gen_project as hook

ANSWERS = {
    "database": "sqlite",
    "setup_environment": False,
    "init_git": False,
}
# Stands in for scripts/setup_environment.py, which has its own tests in tests/setup.
SETUP = """
import json, pathlib
def main(arguments):
    pathlib.Path("arguments.json").write_text(json.dumps(arguments))
    {trouble}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A rendered project of empty files: all that the table names, and a little more."""
    root = tmp_path / "service"
    listed = [path for paths in hook.ONLY_WITH.values() for path in paths]
    for path in [*listed, *hook.INSTEAD_OF.values(), "README.md", "app/db/session.py"]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "scripts").mkdir()
    (root / "scripts/setup_environment.py").write_text(SETUP.format(trouble="pass"))
    return root


def run_hook(project: Path, **answers: object) -> subprocess.CompletedProcess[str]:
    """Do what cookiecutter does: render the hook and run it in the project."""
    settings = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    context = {
        "cookiecutter": {
            "_jinja2_env_vars": settings["_jinja2_env_vars"],
            **ANSWERS,
            **answers,
        }
    }
    source = (ROOT / "hooks/post_gen_project.py").read_text("utf-8")
    rendered = project.parent / "rendered_hook.py"
    rendered.write_text(create_env_with_context(context).from_string(source).render(**context))
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, rendered],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def arguments_of(project: Path) -> object:
    return json.loads((project / "arguments.json").read_text())


def files_of(project: Path) -> set[str]:
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


def test_the_table_knows_only_answers_that_exist() -> None:
    settings = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    assert {answer for answer, _ in hook.ONLY_WITH} == set(hook.CHOSEN)
    for answer, value in hook.ONLY_WITH:
        assert value in settings[answer]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_keeps_what_was_chosen(project: Path, database: str) -> None:
    result = run_hook(project, database=database, setup_environment=True)
    assert result.returncode == 0, result.stderr
    expected = {"README.md", "app/db/session.py", *hook.INSTEAD_OF.values()}
    expected |= {"scripts/setup_environment.py", "arguments.json"}
    if database == "postgresql":
        expected |= {*hook.ONLY_WITH["database", "postgresql"]} - hook.INSTEAD_OF.keys()
    assert files_of(project) == expected
    for special, path in hook.INSTEAD_OF.items():
        kept = special if database == "postgresql" else path
        assert (project / path).read_text() == kept
    # No folder that is empty now, and no compiled files.
    assert (project / "tests").exists() == (database == "postgresql")
    assert not list(project.rglob("__pycache__"))


def test_removes_folders(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    for path in ("extra/inner/file", "outer/inner/file", "outer/other"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    hook.remove("extra")
    hook.remove("outer/inner/file")
    assert not Path("extra").exists()
    assert [path.name for path in Path("outer").iterdir()] == ["other"]


@pytest.mark.parametrize("missing", ["requirements-dev.txt", "app/db/local_postgres.py"])
def test_a_missing_path_is_an_error_before_anything_is_removed(project: Path, missing: str) -> None:
    (project / missing).unlink()
    before = files_of(project)
    result = run_hook(project, database="postgresql")
    assert result.returncode == 1
    assert missing in result.stderr
    assert "Traceback" not in result.stderr
    assert files_of(project) == before


def test_project_is_set_up_when_the_answer_is_yes(project: Path) -> None:
    result = run_hook(project, setup_environment=True)
    assert result.returncode == 0, result.stderr
    assert arguments_of(project) == []


def test_command_is_printed_when_the_answer_is_no(project: Path) -> None:
    result = run_hook(project, setup_environment=False)
    assert result.returncode == 0, result.stderr
    assert not (project / "arguments.json").exists()
    assert str(project / "scripts/setup_environment.py") in result.stdout


@pytest.mark.parametrize(
    "trouble", ["return 1", "raise SystemExit(2)", "raise KeyboardInterrupt", "1 / 0", "import x"]
)
def test_a_failed_set_up_keeps_the_project(project: Path, trouble: str) -> None:
    """Cookiecutter deletes the project when a hook fails."""
    script = project / "scripts/setup_environment.py"
    script.write_text(SETUP.format(trouble=trouble))
    result = run_hook(project, setup_environment=True)
    assert result.returncode == 0
    if trouble != "return 1":  # set-up has explained that one itself
        assert str(project) in result.stderr


def test_module_beside_the_hook_is_not_imported(project: Path) -> None:
    """Cookiecutter puts the hook into a folder that all users share."""
    (project.parent / "json.py").write_text("raise SystemExit('imported')")
    assert run_hook(project).stderr == ""


def test_cruft_comparison_sets_nothing_up(project: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rendered = project.rename(Path(folder) / "service")
        result = run_hook(rendered, setup_environment=True, _commit="0123abc")
        assert result.returncode == 0, result.stderr
        assert not (rendered / "arguments.json").exists()
        assert not (rendered / "app/db/local_postgres.py").exists()
        # It may be that somebody's folder has such a name. A patch of `cruft diff` stays one.
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert f"python3 {str(rendered / hook.SETUP)!a}" in result.stderr


def test_cruft_create_in_a_folder_with_such_a_name_sets_up(project: Path, tmp_path: Path) -> None:
    """It is not where temporary ones are."""
    (tmp_path / "tmpabcd1234").mkdir()
    rendered = project.rename(tmp_path / "tmpabcd1234/service")
    result = run_hook(rendered, setup_environment=True, _commit="0123abc")
    assert result.returncode == 0, result.stderr
    assert arguments_of(rendered) == []


def test_cruft_create_sets_up(project: Path) -> None:
    result = run_hook(project, setup_environment=True, _commit="0123abc")
    assert result.returncode == 0, result.stderr
    assert arguments_of(project) == []


def test_cookiecutter_in_a_temporary_folder_sets_up(project: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rendered = project.rename(Path(folder) / "service")
        assert run_hook(rendered, setup_environment=True).returncode == 0
        assert arguments_of(rendered) == []
