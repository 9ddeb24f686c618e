"""Each check of the pre-generation hook by itself: what it accepts, rejects and suggests."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement

from dev import ROOT, TEMPLATE
from hooks import pre_gen_project as hook
from tests.answers.cases import (
    ACCEPTED_EMAILS,
    ACCEPTED_SLUGS,
    BROKEN_TEMPLATES,
    GOOD,
    INTACT,
    NOT_TEXT,
    REJECTED_EMAILS,
    REJECTED_SLUGS,
    REJECTED_TEXTS,
    TEMPLATES,
)
from tests.answers.support import readable, render, resolve

TYPED = [*hook.TEXTS, "project_slug", "author_email"]
DEPENDENCIES = hook.DEPENDENCIES.split()


def problems(
    changes: Mapping[str, object] = MappingProxyType({}),
    *,
    given: dict[str, Any] | None = None,
    contents: list[str] | None = None,
    version: tuple[int, ...] | None = (2, 7, 1),
) -> dict[str, hook.Problem]:
    """Check good answers with some changes; return the problems by the name of the answer."""
    answers = {**GOOD, **changes}
    for name in hook.TEXTS:
        answers.setdefault(f"__{name}", hook.escape(str(answers[name])))
    answers.setdefault("__given_slug", answers["project_slug"])
    found = hook.find_problems(answers, given or {}, contents or [], version)
    assert len({problem.answer for problem in found}) == len(found)
    return {problem.answer: problem for problem in found}


def assert_rejected(name: str, value: object, reason: str) -> None:
    """Check that this answer alone is rejected, and that its suggestion is accepted."""
    found = problems({name: value})
    assert list(found) == [name]
    assert reason in found[name].reason
    assert problems({name: found[name].suggestion}) == {}


def test_good_answers_are_accepted() -> None:
    assert problems() == {}


# Texts


@pytest.mark.parametrize("text", INTACT.values(), ids=INTACT)
@pytest.mark.parametrize("name", hook.TEXTS)
def test_ordinary_text_is_accepted(name: str, text: str) -> None:
    assert problems({name: text}) == {}


@pytest.mark.parametrize("name", hook.TEXTS)
def test_text_is_accepted_up_to_its_longest_length(name: str) -> None:
    length = hook.TEXTS[name]
    assert problems({name: "x" * length}) == {}
    assert_rejected(name, "x" * (length + 1), f"at most {length} characters, and has {length + 1}")


@pytest.mark.parametrize(("text", "reason"), REJECTED_TEXTS.values(), ids=REJECTED_TEXTS)
@pytest.mark.parametrize("name", hook.TEXTS)
def test_unusable_text_is_rejected(name: str, text: str, reason: str) -> None:
    assert_rejected(name, text, reason)


def test_message_names_at_most_three_characters() -> None:
    reason = problems({"project_name": "a\r\n\t\0\x1b\x7f"})["project_name"].reason
    assert reason == "must not contain the character U+0000, a tab, a line break and others"


@pytest.mark.parametrize("value", NOT_TEXT.values(), ids=NOT_TEXT)
@pytest.mark.parametrize("name", TYPED)
def test_other_type_than_text_is_rejected(name: str, value: object) -> None:
    assert_rejected(name, value, "must be text")


@pytest.mark.parametrize("missing", GOOD)
def test_missing_answer_is_rejected(missing: str) -> None:
    answers = {name: value for name, value in GOOD.items() if name != missing}
    answers |= {f"__{name}": hook.escape(GOOD[name]) for name in hook.TEXTS}
    found = hook.find_problems(answers, {}, [], None)
    assert [problem.answer for problem in found] == [missing]


# Templates in answers


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("name", TYPED)
def test_evaluated_template_is_rejected(name: str, template: str) -> None:
    """Cookiecutter has replaced it by something that looks like an ordinary answer."""
    found = problems(given={name: template})
    assert list(found) == [name]
    assert "would evaluate it as a template" in found[name].reason
    assert found[name].value == template
    assert problems({name: found[name].suggestion}) == {}


@pytest.mark.parametrize(
    "text", [*TEMPLATES.values(), *BROKEN_TEMPLATES.values()], ids=[*TEMPLATES, *BROKEN_TEMPLATES]
)
def test_typed_template_is_rejected(text: str) -> None:
    """Cookiecutter doesn't evaluate typed answers, but `cruft update` would."""
    found = problems({"project_name": text.strip()}, given={"project_name": "My Service"})
    assert list(found) == ["project_name"]
    assert "would evaluate it as a template" in found["project_name"].reason
    assert found["project_name"].value == text.strip()


def test_default_slug_may_be_a_template() -> None:
    default = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["project_slug"]
    assert problems(given={"project_slug": default}) == {}


def test_typed_answer_may_differ_from_the_default() -> None:
    assert problems(given={"project_name": "Other", "author_email": "a@example.com"}) == {}


# Slugs


@pytest.mark.parametrize("slug", ACCEPTED_SLUGS, ids=readable)
def test_ordinary_slug_is_accepted(slug: str) -> None:
    assert problems({"project_slug": slug}) == {}


@pytest.mark.parametrize(("slug", "reason"), REJECTED_SLUGS.items(), ids=readable)
def test_unusable_slug_is_rejected(slug: str, reason: str) -> None:
    assert_rejected("project_slug", slug, reason)


def test_every_dependency_is_rejected_as_slug() -> None:
    for name in DEPENDENCIES:
        for slug in {name, name.replace("-", "_")}:
            assert_rejected("project_slug", slug, "a package that the service depends on")


def test_list_of_dependencies_is_that_of_the_lock_files() -> None:
    names = set()
    for lock in TEMPLATE.glob("requirements*.txt"):
        names |= set(re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text("utf-8"), re.MULTILINE))
    for database in hook.CHOICES["database"]:
        project = tomllib.loads(render(resolve(database=database), TEMPLATE / "pyproject.toml"))
        lines = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
        names |= {Requirement(line).name for line in lines}
    assert sorted(DEPENDENCIES) == sorted({re.sub(r"[-_.]+", "-", name.lower()) for name in names})


def test_folder_with_files_is_rejected() -> None:
    found = problems(contents=["b", ".git", "a\x1b"])
    assert list(found) == ["project_slug"]
    assert r"already exists and contains 'a\x1b'" in found["project_slug"].reason
    assert found["project_slug"].suggestion == "my_service_new"


@pytest.mark.parametrize("slug", ["x" * 60, "x" * 55 + "_yyyy"])
def test_suggestion_for_a_folder_with_files_is_accepted(slug: str) -> None:
    suggestion = problems({"project_slug": slug}, contents=["a"])["project_slug"].suggestion
    assert suggestion != slug
    assert problems({"project_slug": suggestion}) == {}


def test_folder_with_an_empty_repository_is_accepted() -> None:
    assert problems(contents=[".git"]) == {}


# E-mail addresses


@pytest.mark.parametrize("email", ACCEPTED_EMAILS, ids=readable)
def test_ordinary_email_is_accepted(email: str) -> None:
    assert problems({"author_email": email}) == {}


@pytest.mark.parametrize(("email", "reason"), REJECTED_EMAILS.items(), ids=readable)
def test_unusable_email_is_rejected(email: str, reason: str) -> None:
    assert_rejected("author_email", email, reason)


# Choices and booleans


@pytest.mark.parametrize(
    "value", ["", "mit", "MIT ", "x", None, True, 0, ["MIT"], {}], ids=readable
)
@pytest.mark.parametrize("name", hook.CHOICES)
def test_unknown_choice_is_rejected(name: str, value: object) -> None:
    assert_rejected(name, value, f"must be one of {', '.join(hook.CHOICES[name])}")


def test_kubernetes_with_sqlite_is_rejected() -> None:
    assert_rejected("deployment", "docker_and_kubernetes", "needs database=postgresql")
    answers = {"database": "postgresql", "deployment": "docker_and_kubernetes"}
    assert problems(answers) == {}


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        *((value, "no") for value in ("false", "no", "", 0, None)),
        *((value, "yes") for value in ("true", "y", 1, "perhaps")),
    ],
    ids=readable,
)
@pytest.mark.parametrize("name", hook.BOOLEANS)
def test_other_type_than_boolean_is_rejected(name: str, value: object, suggestion: str) -> None:
    found = problems({name: value})
    assert list(found) == [name]
    assert "yes or no" in found[name].reason
    assert found[name].suggestion == suggestion


# Computed answers


@pytest.mark.parametrize("name", hook.TEXTS)
def test_computed_text_that_was_set_is_rejected(name: str) -> None:
    assert list(problems({f"__{name}": '"; evil'})) == [f"__{name}"]


@pytest.mark.parametrize(
    ("folder", "given", "rejected"),
    [
        ("a-b", "a/b", "project_slug"),
        ("a/b", "a/b", "project_slug"),
        ("a/b", "good", "__given_slug"),
        ("other", "good", "__given_slug"),
    ],
)
def test_accepted_slug_is_the_name_of_the_folder(folder: str, given: str, rejected: str) -> None:
    assert list(problems({"project_slug": folder, "__given_slug": given})) == [rejected]


# Cookiecutter, the disk and its folders


@pytest.mark.parametrize("version", [(2, 1, 1), (2, 6, 0)], ids=str)
def test_old_cookiecutter_is_rejected(version: tuple[int, ...]) -> None:
    found = problems({"init_git": "no"}, version=version)
    assert list(found) == ["cookiecutter"]
    oldest = ".".join(map(str, hook.OLDEST_COOKIECUTTER))
    assert f"needs cookiecutter {oldest} or newer" in found["cookiecutter"].reason
    assert f'"cookiecutter>={oldest}"' in found["cookiecutter"].reason


@pytest.mark.parametrize("version", [(2, 7), (2, 7, 0), (2, 10, 0), (3,), None], ids=str)
def test_new_or_unknown_cookiecutter_is_accepted(version: tuple[int, ...] | None) -> None:
    assert problems(version=version) == {}


def test_version_of_cookiecutter_is_found() -> None:
    version = hook.cookiecutter_version()
    assert version is not None
    assert version >= (2, 7)


@pytest.mark.parametrize("path", ["/home/a b/\u00e9", "/home/it's", "/home/100%", "/home/{x} %}"])
def test_ordinary_path_is_accepted(path: str) -> None:
    assert list(hook.path_reasons(path)) == []


@pytest.mark.parametrize(
    ("blocks", "shown"), [(9_765, ["5.0 MB"]), (9_766, [])], ids=["too-small", "enough"]
)
def test_free_space_is_checked(
    monkeypatch: pytest.MonkeyPatch, blocks: int, shown: list[str]
) -> None:
    disk = SimpleNamespace(f_bavail=blocks, f_frsize=512)
    monkeypatch.setattr(os, "statvfs", lambda _: disk, raising=False)
    found = hook.check_place("/x", None)
    assert [problem.value for problem in found] == shown


def test_free_space_is_not_checked_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "statvfs", raising=False)
    assert hook.check_place("/x", None) == []


@pytest.mark.parametrize(
    ("output_folder", "expected"),
    [("", []), (".", []), ("..", ["project folder"]), ("service", ["project folder"])],
)
def test_project_outside_the_output_folder_is_reported(
    tmp_path: Path, output_folder: str, expected: list[str]
) -> None:
    (tmp_path / "service").mkdir()
    found = hook.check_place(str(tmp_path / "service"), str(tmp_path / output_folder))
    assert [problem.answer for problem in found] == expected
