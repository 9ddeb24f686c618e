"""The licence texts, which name the owner of the service."""

from __future__ import annotations

import re

import pytest

from dev import LICENSE_TEXTS
from hooks.pre_gen_project import CHOICES


@pytest.mark.parametrize("name", CHOICES["license"])
def test_licence_names_the_owner_and_no_year(name: str) -> None:
    text = (LICENSE_TEXTS / f"LICENSE.{name}").read_text("utf-8")
    line = next(line for line in text.splitlines() if "cookiecutter.author_name" in line)
    assert line.strip().startswith("Copyright ")
    assert text.count("{{") == text.count("}}") == 1
    assert text.isascii()
    assert text.endswith("\n")
    assert not re.search(r"\b20(1[0-9]|2[0-9])\b", text)


def test_every_choice_has_a_licence_text() -> None:
    files = {path.name.removeprefix("LICENSE.") for path in LICENSE_TEXTS.glob("LICENSE.*")}
    assert files == set(CHOICES["license"])
