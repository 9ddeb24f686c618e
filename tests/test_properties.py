"""Any answers: either they are rejected with a reason and leave nothing, or the service is complete.

The tests try 1,000 sets of answers; `--hypothesis-profile=long` tries 5,000, new ones each time.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter
from hypothesis import example, given
from hypothesis import strategies as st

from dev import BIN, LICENSE_TEXTS, ROOT, TEMPLATE, clean_environment
from hooks import pre_gen_project as hook
from hooks.post_gen_project import INSTEAD_OF, ONLY_WITH, RECORD, RENAMING, SETUP
from tests.support import BINARY, commit, git, parse

Texts = dict[str, str]

ORDINARY: Texts = {
    "project_name": "Shop",
    "project_slug": "shop",
    "project_description": "It sells.",
    "author_name": "Ada",
    "author_email": "ada@example.com",
}
SEEDS = [
    *("'", '"', "'''", '"""', "\u201c\u2018\u00ab", "\\", '\\"', "\\u0022", "\\N{DASH}", "a\\"),
    *("a\nb", "a\r\nb", "\u2028", "\0", "\x1b[31m", "\ud800", "\ufeff", "\ufffe"),
    *("{{ 1/0 }}", "{{ x", "{{ 'a'|nosuch }}", "{{ x.y.z }}", "{{ cookiecutter.pop('license') }}"),
    *("{{ x }}", "{{ 7 * 7 }}", "{{", "}}", "{% raw %}", "# {% if x %}", "# {%", "# {# x #}", "#}"),
    *("${{ secrets.X }}", "${{", "$(id)", "`id`", "$HOME", "%PATH%", "%s", "%(x)s", "%%", "{0}"),
    *("</script>", "<!--", "&amp;", "[x](y)", "# x", "> x", "- x", "| x", "---", "```", "***"),
    *(
        "\u200f",
        "\u202e",
        "\u2066",
        "\u05d0\u05d1",
        "e\u0301",
        "\U0001f469\u200d\U0001f467",
        "\U00020000",
    ),
    *(
        "",
        " ",
        "\u00a0",
        "\u3000",
        "-",
        "--help",
        "-rf",
        "..",
        ".",
        "/",
        "../../x",
        "~",
        "C:\\",
        "a/b",
    ),
    *("CON", "aux.txt", "nul", "fastapi", "json", "services", "class", "null", "yes", "1e5", "0x1"),
    *("a@b.com", "a'b@example.com", "x@[::1]", "@", "a" * 60, "a" * 61, "a" * 10_000),
]

fragments = st.one_of(
    st.sampled_from(SEEDS),
    st.text(max_size=20),
    # The characters of names all over the world, so that enough texts are accepted.
    st.text(st.characters(categories=["L", "M", "N", "P", "S"]), min_size=1, max_size=40),
    st.from_regex(r"[ -~]{1,30}", fullmatch=True),
)
free_texts = st.one_of(fragments, st.lists(fragments, min_size=2, max_size=4).map("x".join))
slugs = st.one_of(
    free_texts, st.from_regex(r"[a-z][a-z0-9]{0,20}([_-][a-z0-9]{1,9}){0,4}", fullmatch=True)
)
emails = st.one_of(free_texts, st.emails())


def strategy(name: str) -> st.SearchStrategy[str]:
    """Mostly draw the ordinary answer, because a rejected one hides the effect of the others."""
    special = {"project_slug": slugs, "author_email": emails}.get(name, free_texts)
    ordinary = st.just(ORDINARY[name])
    return st.one_of(ordinary, ordinary, special)


def reduced_template(folder: Path) -> Path:
    """Make a quick template: only the files that contain texts, and empty ones for the hook."""
    template = folder / "template"
    for path in TEMPLATE.rglob("*"):
        if (
            path.is_file()
            and not path.name.endswith(BINARY)
            and re.search(r"cookiecutter\.(_*(project|author)_|license)", path.read_text("utf-8"))
        ):
            copy = template / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    shutil.copytree(LICENSE_TEXTS, template / LICENSE_TEXTS.name)
    listed = {path for paths in ONLY_WITH.values() for path in paths}
    listed.remove(".github")  # a folder, which another answer has a file in
    for name in [*listed, *INSTEAD_OF.values(), SETUP, RENAMING]:
        (template / TEMPLATE.name / name).parent.mkdir(parents=True, exist_ok=True)
        (template / TEMPLATE.name / name).touch()
    for name in ("cookiecutter.json", "hooks/pre_gen_project.py", "hooks/post_gen_project.py"):
        (template / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, template / name)
    git(template, "init", "--quiet")
    commit(template, "A part of the template")  # the record of the origin names it
    return template


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("cookiecutter.hooks.run_script", run_here)
    # Cookiecutter leaves every rendered hook in the folder for temporary files.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return reduced_template(tmp_path)


def run_here(script: str, folder: str) -> None:
    """Run a hook as cookiecutter does, but save the time to start Python."""
    path = sys.path[:]
    sys.path.insert(0, str(Path(script).parent))
    try:
        with contextlib.chdir(folder):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise FailedHookException from None
    finally:
        sys.path[:] = path


@contextlib.contextmanager
def typed(answers: Texts) -> Iterator[None]:
    """Answer cookiecutter's questions; it doesn't evaluate typed answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cookiecutter.prompt.read_user_variable", lambda name, *_: answers[name])
        patch.setattr("cookiecutter.prompt.read_user_choice", lambda _, options, *__: options[0])
        patch.setattr("cookiecutter.prompt.read_user_yes_no", lambda *_: False)
        yield


def generate(template: Path, folder: Path, answers: Texts, *, by_hand: bool) -> Path:
    options: dict[str, Any] = {
        "output_dir": str(folder / "outer/parent"),
        "default_config": {"replay_dir": str(folder / "replay"), "default_context": {}},
    }
    if by_hand:
        with typed(answers):
            return Path(cookiecutter(str(template), **options))
    extra = {**answers, "setup_environment": "no", "init_git": "no"}
    return Path(cookiecutter(str(template), no_input=True, extra_context=extra, **options))


def check_rejection(folder: Path, answers: Texts, message: str) -> None:
    assert [path.name for path in folder.rglob("*")] == ["outer", "parent"]
    named = [name for name in ORDINARY if f"\n  {name} = " in message]
    assert named
    assert not [name for name in named if answers[name] == ORDINARY[name]], message


def check_project(project: Path, answers: Texts) -> None:
    assert project.name == answers["project_slug"]
    for path in filter(Path.is_file, project.rglob("*")):
        parse(path)

    record = json.loads((project / RECORD).read_text("ascii"))
    assert record["context"]["cookiecutter"].items() >= answers.items()

    metadata = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert metadata["name"] == answers["project_slug"]
    assert metadata["description"] == answers["project_description"]
    author = {"name": answers["author_name"], "email": answers["author_email"]}
    assert metadata["authors"] == [author]

    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((project / "app/core/config.py").read_text("utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    assert constants["PROJECT_NAME"] == answers["project_name"]
    assert constants["PROJECT_DESCRIPTION"] == answers["project_description"]

    readme = (project / "README.md").read_bytes().decode().split("\n")
    assert readme[0] == f"# {answers['project_name']}"
    assert readme[2] == f"> {answers['project_description']}"
    example_env = (project / "example.env").read_bytes().decode().split("\n")
    assert f"FIRST_SUPERUSER_EMAIL={answers['author_email']}" in example_env
    license_ = (project / "LICENSE").read_bytes().decode().split("\n")
    assert f"Copyright (c) {answers['author_name']}" in license_


def check_style(folder: Path) -> None:
    """Check each service with ruff, by the rules of its own pyproject.toml."""
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [BIN / "ruff", *command, "--no-cache", "."],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.filterwarnings("ignore:Surrogate character")
@pytest.mark.parametrize("by_hand", [False, True], ids=["given", "typed"])
def test_any_answers_are_rejected_or_make_a_complete_service(
    template: Path, by_hand: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = {"accepted": 0, "rejected": 0}

    @given(st.fixed_dictionaries({name: strategy(name) for name in ORDINARY}))
    def check(answers: Texts) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "outer/parent").mkdir(parents=True)
            try:
                project = generate(template, folder, answers, by_hand=by_hand)
            except FailedHookException:
                shutil.rmtree(folder / "replay")
                check_rejection(folder, answers, capfd.readouterr().err)
                outcomes["rejected"] += 1
            except Exception:  # noqa: BLE001 -- cookiecutter evaluates templates in answers
                given = "\n".join(answers.values())
                assert not by_hand
                assert any(marker in given for marker in hook.MARKERS)
                assert list((folder / "outer/parent").iterdir()) == []
            else:
                check_project(project, answers)
                check_style(project)
                outcomes["accepted"] += 1

    for seed in SEEDS:
        for names in (hook.TEXTS, ["project_slug"], ["author_email"]):
            check = example({**ORDINARY, **dict.fromkeys(names, seed)})(check)
    check()
    # There were enough examples of both outcomes.
    assert min(outcomes.values()) > sum(outcomes.values()) / 10, outcomes


def test_texts_of_any_length_pass_the_linter(template: Path, tmp_path: Path) -> None:
    """Line breaks and the order of imports may depend on names."""
    (tmp_path / "outer/parent").mkdir(parents=True)
    for length in range(1, hook.SLUG_LENGTH + 1):
        slug = "z" * length
        name = "z" * (hook.TEXTS["project_name"] * length // hook.SLUG_LENGTH)
        description = "z" * (hook.TEXTS["project_description"] * length // hook.SLUG_LENGTH)
        answers = {**ORDINARY, "project_slug": slug, "project_name": name}
        answers |= {"author_name": name, "project_description": description}
        generate(template, tmp_path, answers, by_hand=False)

    check_style(tmp_path / "outer/parent")
