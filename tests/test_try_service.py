"""`dev.py try` chooses a new folder, and leaves the checks of answers to the hook."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException

from tools import try_service


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    output = tmp_path / "output"
    monkeypatch.setattr(try_service, "OUTPUT", output)
    return output


def test_slug_gets_a_number_if_its_folder_exists(output: Path) -> None:
    for expected in ("shop", "shop-2", "shop-3"):
        assert try_service.free_slug({"project_name": "Shop"}) == expected
        (output / expected).mkdir(parents=True)
    assert try_service.free_slug({"project_slug": "shop"}) == "shop-4"
    assert try_service.free_slug({}) == "my_service"


def test_service_is_generated_without_a_repository(output: Path) -> None:
    (output / "my_service").mkdir(parents=True)

    project = try_service.generate({"setup_environment": "no"})

    assert project == output / "my_service-2"
    assert (project / "app/main.py").exists()
    assert not (project / ".git").exists()


@pytest.mark.parametrize("slug", ["../x", "", "CON", "Shop"])
def test_invalid_slug_is_rejected_as_given(
    output: Path, slug: str, capfd: pytest.CaptureFixture[str]
) -> None:
    output.mkdir()
    (output.parent / "x").mkdir()

    with pytest.raises(FailedHookException):
        try_service.generate({"project_slug": slug})

    assert f"\n  project_slug = {slug!r}\n" in capfd.readouterr().err
    assert [path.name for path in output.iterdir()] == [".replay"]


@pytest.mark.parametrize("name", ["colour", "_template", "__given_slug", ""])
def test_unknown_answer_is_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["try", f"{name}=x"])
    with pytest.raises(SystemExit, match=f"there is no answer called '{name}'"):
        try_service.main()
