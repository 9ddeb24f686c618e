"""cookiecutter.json: the questions, and the answers that are computed from others."""

from __future__ import annotations

import ast
import json
import re
import tomllib

import pytest
import yaml

from dev import ROOT
from hooks import pre_gen_project as hook
from tests.answers.cases import ACCEPTED_SLUGS, INTACT, REJECTED_SLUGS
from tests.answers.support import readable, resolve

QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))


def test_questions_and_checks_have_the_same_answers() -> None:
    visible = [name for name in QUESTIONS if not name.startswith("_")]
    assert tuple(visible) == hook.ORDER
    for name, options in hook.CHOICES.items():
        assert tuple(QUESTIONS[name]) == options
    for name in hook.BOOLEANS:
        assert QUESTIONS[name] is True
    examples = {name: text for name, text in hook.EXAMPLES.items() if name != "project_slug"}
    assert {name: QUESTIONS[name] for name in examples} == examples
    assert QUESTIONS["project_slug"].strip("{ }") == hook.DEFAULT_SLUG


def test_every_question_and_choice_has_a_prompt() -> None:
    prompts = QUESTIONS["__prompts__"]
    assert tuple(prompts) == hook.ORDER
    for name, options in hook.CHOICES.items():
        assert list(prompts[name]) == ["__prompt__", *options]
    # Cookiecutter prints prompts with Rich, to which square brackets are markup.
    assert "[" not in json.dumps(prompts)


def test_default_answers_are_accepted() -> None:
    assert hook.find_problems(resolve(), {}, [], None) == []


@pytest.mark.parametrize(
    ("name", "slug"),
    {
        "My Service": "my_service",
        "Shop": "shop",
        "O'Brien & Sons": "o_brien_sons",
        "3D Printer": "d_printer",
        "24/7": "my_service",
        "日本": "ri_ben",
        "Zoë's Café": "zoe_s_cafe",
        "🚀": "my_service",
        "--- x ---": "x",
        "a_b-c.d": "a_b_c_d",
        "x" * 59 + " y": "x" * 59,
        "1" * 58 + "ab c": "ab",
    }.items(),
    ids=readable,
)
def test_slug_is_derived_from_the_name(name: str, slug: str) -> None:
    assert resolve(project_name=name)["project_slug"] == slug


@pytest.mark.parametrize("name", [*INTACT.values(), "&#65;&#x110000;&amp;"], ids=readable)
def test_derived_slug_is_accepted(name: str) -> None:
    found = hook.find_problems(resolve(project_name=name), {}, [], None)
    assert "project_slug" not in [problem.answer for problem in found]


@pytest.mark.parametrize("slug", ACCEPTED_SLUGS, ids=readable)
def test_accepted_slug_is_the_name_of_the_folder(slug: str) -> None:
    answers = resolve(project_slug=slug)
    assert answers["project_slug"] == answers["__given_slug"] == slug


@pytest.mark.filterwarnings("ignore:Surrogate character")
@pytest.mark.parametrize("slug", REJECTED_SLUGS, ids=readable)
def test_rejected_slug_never_becomes_a_dangerous_path(slug: str) -> None:
    answers = resolve(project_slug=slug)
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", answers["project_slug"])
    assert answers["__given_slug"] == slug


@pytest.mark.parametrize("text", INTACT.values(), ids=INTACT)
def test_computed_text_is_safe_in_double_quotes(text: str) -> None:
    answers = resolve(project_name=text, project_description=text, author_name=text)
    for name in hook.TEXTS:
        quoted = f'"{answers[f"__{name}"]}"'
        assert quoted == f'"{hook.escape(text)}"'
        assert ast.literal_eval(quoted) == text
        assert json.loads(quoted) == text
        assert tomllib.loads(f"x = {quoted}")["x"] == text
        assert yaml.safe_load(f"x: {quoted}")["x"] == text


@pytest.mark.parametrize("name", ["__given_slug", "__slug_guard"])
def test_guard_of_the_folder_is_explained_in_the_guide(name: str) -> None:
    guide = (ROOT / "DEVELOPERS.md").read_text("utf-8")
    assert "".join(QUESTIONS[name].split()) in "".join(guide.split())
