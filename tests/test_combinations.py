"""The combinations of answers in conftest.py cover every value and every pair of values."""

from __future__ import annotations

import itertools
import json

from dev import ROOT
from hooks.pre_gen_project import BOOLEANS, CHOICES
from tests.conftest import COMBINATIONS, NOT_SET_UP, PAIRS, SELECTING, VOCABULARIES


def test_every_answer_with_a_choice_is_tested() -> None:
    """Add a new answer to COMBINATIONS or PAIRS, and to the checks of the hook."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = {name: value for name, value in questions.items() if not name.startswith("_")}
    chosen = {name: tuple(value) for name, value in asked.items() if isinstance(value, list)}
    assert chosen == CHOICES
    assert [name for name, value in asked.items() if isinstance(value, bool)] == [*BOOLEANS]
    assert {type(value) for value in asked.values()} == {str, list, bool}
    for answers in COMBINATIONS.values():
        assert answers.keys() == SELECTING.keys()
    for answers in PAIRS.values():
        assert answers.keys() == {*CHOICES, *BOOLEANS, "uv"}


def test_every_pair_of_values_is_tested() -> None:
    """This covers any two answers, and any answer with either installer."""
    rows = [*PAIRS.values(), *NOT_SET_UP.values()]
    for one, other in itertools.combinations([*SELECTING, *BOOLEANS, "uv"], 2):
        found = {(row[one], row[other]) for row in rows if one in row and other in row}
        expected = {
            *itertools.product(*(CHOICES.get(name, (True, False)) for name in (one, other)))
        }
        if (one, other) == ("setup_environment", "uv"):  # no set-up, no installer
            expected = {(True, True), (True, False)}
        if (one, other) == ("database", "deployment"):
            expected.remove(("sqlite", "docker_and_kubernetes"))  # the hook rejects it
        assert found == expected, (one, other)


def test_every_vocabulary_is_set_up() -> None:
    assert {row["layer_names"] for row in PAIRS.values()} == {*VOCABULARIES}
