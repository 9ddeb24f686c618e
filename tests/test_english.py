"""No text of either product reads as translated."""

from __future__ import annotations

import pytest

from dev import ROOT, TEMPLATE
from tools.english import RULES, Rule, check, files, find


def reasons(text: str, path: str = "README.md") -> list[str]:
    return [finding.rule.reason for finding in check(path, text)]


def test_texts_of_both_products_are_idiomatic() -> None:
    found = find()
    if found:
        pytest.fail("\n".join(map(str, found)), pytrace=False)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.good)
def test_rule_rejects_its_bad_example_and_accepts_its_good_one(rule: Rule) -> None:
    assert rule.reason in reasons(rule.bad)
    assert reasons(rule.good) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "What is the service called?",
        "## What you get",
        "| path | what |",
        "There is no grace period, and there are none for refresh tokens.",
        "The token is no longer valid, and is no more than 128 characters long.",
        "The session is None.",
        "The service refuses to start with a weak secret.",
        "curl: (7) connection refused",
        "The old server refuses new connections.",
        "The server can't be told to wait, and the note tells the user so.",
        "Clients can tell problems apart, and the output tells you which one it was.",
        "The second one waits for the first one's transaction.",
        "It turns `/readyz` to 503. This turns off the limit.",
        "It stops; clients retry.",
        "Set-Cookie: a=b; path=/; secure",
        "import signal; signal.pause(); print(1)",
        "Run `git shall; then; anew`.",
        "There is a `refused_` prefix.",
    ],
)
def test_ordinary_sentence_is_accepted(sentence: str) -> None:
    assert reasons(sentence) == []


SOURCE = '''"""What is done.

It is done
anew.
"""

LIMIT = 3  # nobody's turn
# Unknown fields
# are refused.
ERROR = f"{LIMIT} is no number"
NAME = "refused_1"


def test_who_waits_is_served() -> None: ...
async def refuse() -> None: ...
'''


def test_python_is_read_in_comments_strings_and_names() -> None:
    found = [(finding.line, finding.sentence) for finding in check("a.py", SOURCE)]

    assert sorted(found) == [
        (1, "What is done."),
        (3, "It is done anew."),
        (7, "nobody's turn"),
        (8, "Unknown fields are refused."),
        (10, "X is no number"),
        (14, "Who waits is served"),
        (15, "Refuse"),
    ]


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("README.md", "Fine.\n\n- It is\n  made anew.\n", 3),
        ("README.md", "| a | b |\n| c | made anew |\n", 2),
        ("README.md", "    # made anew\n", 1),
        ("a.toml", 'x = 1\ny = { help = "made anew" }\n', 2),
        ("a.yml", "a: b\n# It is made\n# anew.\n", 2),
        ("example.env", "# It is made\n# anew.\nX=\n", 1),
        ("cookiecutter.json", '{\n  "a": "Made anew?"\n}\n', 2),
        ("mail.txt", "Hello\n\nIt is made anew.\n", 3),
        ("mail.html", '<p style="a: b; c: d; e: f">It is made <b>anew</b>.</p>\n', 1),
    ],
)
def test_sentence_is_found_with_its_line(path: str, text: str, line: int) -> None:
    assert [finding.line for finding in check(path, text)] == [line]


def test_texts_by_others_are_left_alone() -> None:
    names = files(ROOT)

    assert {"README.md", "cookiecutter.json", "hooks/pre_gen_project.py"} <= set(names)
    assert f"{TEMPLATE.name}/README.md" in names
    assert [name for name in names if "LICENSE" in name or "requirements" in name] == [
        "requirements.in"
    ]
