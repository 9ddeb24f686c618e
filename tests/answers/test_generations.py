"""Real generations: texts arrive unchanged, and rejected answers leave nothing on disk."""

from __future__ import annotations

import ast
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException, UndefinedVariableInTemplate
from cookiecutter.main import cookiecutter
from jinja2 import TemplateSyntaxError

from dev import ROOT
from hooks import pre_gen_project as hook
from tests.answers.cases import BROKEN_TEMPLATES, GOOD, INTACT, TEMPLATES
from tests.answers.support import Generate, cookiecutter_program, readable, resolve, tree


def as_every_text(text: str) -> dict[str, str]:
    return dict.fromkeys(hook.TEXTS, text)


def assert_arrived(project: Path, text: str) -> None:
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((project / "probe.py").read_text("utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert values == {"NAME": text, "DESCRIPTION": text, "AUTHOR": text}
    assert (project / "README.md").read_text("utf-8") == f"# {text}\n\n> {text}\n"
    assert (project / "LICENSE").read_text("utf-8") == f"Copyright (c) {text}\n"


def assert_reported(answers: Mapping[str, object], message: str) -> None:
    assert [name for name in answers if f"\n  {name} = " not in message] == []


# Answers on the command line


@pytest.mark.parametrize("text", INTACT.values(), ids=INTACT)
def test_text_arrives_unchanged(generate: Generate, probe: Path, text: str) -> None:
    assert_arrived(generate(probe, answers=as_every_text(text)), text)


@pytest.mark.usefixtures("untouched")
def test_all_problems_are_reported_at_once(
    generate: Generate, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = {
        "project_name": "{{ 7 * 7 }}",
        "project_slug": "../victim",
        "project_description": "a\nb",
        "author_name": "",
        "author_email": "nobody",
        "setup_environment": 1,
    }
    with pytest.raises(FailedHookException):
        generate(answers=answers)
    message = capfd.readouterr().err
    # Cookiecutter converts the number to text.
    for name, value in {**answers, "setup_environment": "1"}.items():
        assert f"\n  {name} = {value!r}\n" in message
    assert "Try: 'victim'" in message
    assert "Try: 'you@example.com'" in message


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_template_is_rejected(
    generate: Generate, capfd: pytest.CaptureFixture[str], template: str
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers={"project_description": template})
    assert "would evaluate it as a template" in " ".join(capfd.readouterr().err.split())


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("template", BROKEN_TEMPLATES.values(), ids=BROKEN_TEMPLATES)
def test_broken_template_leaves_nothing(generate: Generate, template: str) -> None:
    with pytest.raises((UndefinedVariableInTemplate, TemplateSyntaxError, ZeroDivisionError)):
        generate(answers={"project_description": template})


@pytest.mark.usefixtures("untouched")
@pytest.mark.filterwarnings("ignore:Surrogate character")
@pytest.mark.parametrize("overwrite", [False, True], ids=["", "overwrite"])
@pytest.mark.parametrize(
    "slug",
    [
        *("../evil", "../victim", "a/b", "a/b/c", ".", "..", "", "/", "a\0b", "\ud800", "x" * 300),
        *("CON", "con", "aux.txt", "fastapi", "-x", "~", "a\\b", "MyService"),
    ],
    ids=readable,
)
def test_rejected_slug_leaves_the_disk_unchanged(
    generate: Generate, capfd: pytest.CaptureFixture[str], slug: str, overwrite: bool
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers={"project_slug": slug}, overwrite_if_exists=overwrite)
    assert f"\n  project_slug = {hook.show(slug)}\n" in capfd.readouterr().err


@pytest.mark.usefixtures("untouched")
def test_absolute_slug_leaves_the_disk_unchanged(generate: Generate, parent: Path) -> None:
    for target in (parent.parent / "victim", parent.parent / "new/folder"):
        with pytest.raises(FailedHookException):
            generate(answers={"project_slug": str(target)}, overwrite_if_exists=True)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "answers", [{"license": "WTFPL"}, {"database": "x"}, {"init_git": "perhaps"}], ids=readable
)
def test_cookiecutter_rejects_unknown_values(generate: Generate, answers: dict[str, Any]) -> None:
    """Our checks don't run; what matters is that it names the answer and stops."""
    with pytest.raises(ValueError, match=next(iter(answers))):
        generate(answers=answers)


@pytest.mark.skipif(os.name == "nt", reason="shlex splits like POSIX shells")
def test_suggested_command_works(parent: Path, probe: Path, tmp_path: Path) -> None:
    answers = ["project_name=Ein \"Dienst\" für 'uns'", "project_slug=fastapi", "author_email=x"]
    arguments = [str(probe), *answers, "setup_environment=no"]
    code, output = cookiecutter_program(parent, tmp_path / "home", *arguments, "--no-input")
    assert code == 1
    assert list(parent.iterdir()) == []
    line = next(line for line in output.splitlines() if line.startswith("  cookiecutter "))
    program, *corrected = shlex.split(line)
    assert program == "cookiecutter"
    code, output = cookiecutter_program(parent, tmp_path / "home", *corrected, "--no-input")
    assert code == 0, output
    name = (parent / "fastapi_service/README.md").read_text("utf-8").splitlines()[0]
    assert name == "# Ein \"Dienst\" für 'uns'"


# Typed answers


def test_typed_text_arrives_unchanged(parent: Path, probe: Path, tmp_path: Path) -> None:
    text = "{ 7 * 7 } #{% \"x\" \\ 'y' [b] 🚀"
    typed = "\n".join(
        [text, "typed", text, text, "a@example.com", "2", "2", "1", "3", "1", "1", "n", "n", ""]
    )
    code, output = cookiecutter_program(parent, tmp_path / "home", str(probe), typed=typed)
    assert code == 0, output
    assert_arrived(parent / "typed", text)


@pytest.mark.usefixtures("untouched")
def test_rejected_typed_answers_are_reported(parent: Path, tmp_path: Path) -> None:
    typed = "\n".join(
        ["A name", "a/b", "x", "y", "nobody", "1", "1", "1", "1", "1", "1", "n", "n", ""]
    )
    code, output = cookiecutter_program(parent, tmp_path / "home", str(ROOT), typed=typed)
    assert code == 1
    assert "\n  project_slug = 'a/b'\n" in output
    assert "\n  author_email = 'nobody'\n" in output
    assert f"cookiecutter {ROOT}" in output


# Answers in files: replay, and the user's configuration


def replay_file(folder: Path, **answers: object) -> Path:
    """Write a replay file, in which somebody has edited some answers."""
    resolved = {**resolve(), **GOOD, **answers}
    for name in hook.TEXTS:
        resolved[f"__{name}"] = hook.escape(resolved[name])
    resolved["__given_slug"] = resolved["project_slug"]
    path = folder / "answers.json"
    path.write_text(json.dumps({"cookiecutter": resolved}), "utf-8")
    return path


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "answers",
    [
        {"license": "WTFPL"},
        {"database": "oracle"},
        {"init_git": "no"},
        {"setup_environment": "true"},
        {"author_email": "x@y.test"},
        {"project_slug": "fastapi"},
        {"project_slug": "../evil"},
    ],
    ids=readable,
)
def test_replayed_answers_are_checked(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str], answers: dict[str, Any]
) -> None:
    with pytest.raises(FailedHookException):
        generate(replay=replay_file(tmp_path, **answers))
    assert_reported(answers, capfd.readouterr().err)


def test_replay_of_rejected_answers_is_rejected(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers={"project_slug": "../evil"})
    capfd.readouterr()
    with pytest.raises(FailedHookException):
        generate(replay=tmp_path / "r" / f"{ROOT.name}.json")
    assert "\n  project_slug = '../evil'\n" in capfd.readouterr().err


def test_replay_of_accepted_answers_generates_the_same(
    generate: Generate, probe: Path, tmp_path: Path
) -> None:
    first = generate(probe, answers=as_every_text('a "b" \\'))
    before = tree(first)
    for path in sorted(first.iterdir()):
        path.unlink()
    second = generate(probe, replay=tmp_path / "r/probe.json", overwrite_if_exists=True)
    assert tree(second) == before


@pytest.mark.usefixtures("untouched")
def test_answers_of_the_user_configuration_are_checked(
    config: Path, parent: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = {"project_name": "{{ 7 * 7 }}", "author_email": "x", "init_git": 0}
    settings = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**settings, "default_context": answers}), "utf-8")
    with pytest.raises(FailedHookException):
        cookiecutter(str(ROOT), no_input=True, output_dir=str(parent), config_file=str(config))
    assert_reported(answers, capfd.readouterr().err)


# Computed answers that were set by hand

FORGED: dict[str, dict[str, Any]] = {
    "text": {"__project_name": '"; evil'},
    "slug": {"__given_slug": "ok"},
    "slug-and-path": {"__given_slug": "ok", "project_slug": "../new/evil"},
    "slug-and-deep-path": {"__given_slug": "ok", "project_slug": "../../outer/parent/a/b/c"},
    "no-guard": {"__slug_guard": "x", "project_slug": "../evil"},
    "no-guard-existing": {"__slug_guard": "x", "project_slug": "../victim/evil"},
    "neither": {"__slug_guard": "x", "__given_slug": "ok", "project_slug": "../victim/evil"},
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("answers", FORGED.values(), ids=FORGED)
def test_computed_answers_can_not_be_given(
    generate: Generate, capfd: pytest.CaptureFixture[str], answers: dict[str, Any]
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers=answers)
    assert "Nothing was generated" in capfd.readouterr().err


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("answers", FORGED.values(), ids=FORGED)
def test_computed_answers_can_not_be_configured(
    config: Path, parent: Path, capfd: pytest.CaptureFixture[str], answers: dict[str, Any]
) -> None:
    settings = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**settings, "default_context": {**GOOD, **answers}}))
    with pytest.raises(FailedHookException):
        cookiecutter(str(ROOT), no_input=True, output_dir=str(parent), config_file=str(config))
    assert "Nothing was generated" in capfd.readouterr().err


@pytest.mark.parametrize("slug", ["../new/evil", "a/b/c"])
def test_folder_of_an_unguarded_slug_is_named(
    generate: Generate,
    parent: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    slug: str,
) -> None:
    """Cookiecutter removes the last folder of the path, and leaves its empty parents."""
    with pytest.raises(FailedHookException):
        generate(replay=replay_file(tmp_path, project_slug=slug))
    message = capfd.readouterr().err
    assert f"\n  project_slug = {slug!r}\n" in message
    assert f"\n  project folder = {str((parent / slug).resolve())!r}\n" in message
    assert "delete the empty folders that are left of it" in " ".join(message.split())
    assert not (parent / slug).exists()
    assert (parent / slug).parent.exists()
