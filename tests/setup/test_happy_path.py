"""A set-up that works, the first time and again."""

from __future__ import annotations

import os
import shlex
import subprocess

from tests.setup.toybox import Service, posix, requirements


def test_everything_is_set_up(service: Service, installer: str) -> None:
    result = service.set_up()

    assert result.returncode == 0, result.stdout
    service.check_complete()
    lines = result.stdout.splitlines()
    assert [line[:5] for line in lines[:4]] == [f"[{number}/4]" for number in range(1, 5)]
    assert lines[2].startswith(f"[3/4] Installing packages with {installer} ... ")
    assert all(line.endswith(" s") for line in lines[:4])
    assert "The service is set up" in result.stdout
    quote = subprocess.list2cmdline if os.name == "nt" else shlex.join
    assert f"cd {quote([str(service.root)])}" in result.stdout
    assert str(service.root / ".env") in result.stdout
    assert "Warning" not in result.stdout
    assert "to go on" not in result.stdout


def test_env_file_is_the_example_with_secrets(service: Service) -> None:
    old_mask = os.umask(0)
    try:
        service.load_script().write_env()
    finally:
        os.umask(old_mask)

    settings = service.settings()
    key, password = settings.pop("SECRET_KEY"), settings.pop("FIRST_SUPERUSER_PASSWORD")
    assert len(key) >= 43
    assert len(password) >= 43
    assert key != password
    assert settings == {"ENVIRONMENT": "development", "FIRST_SUPERUSER_EMAIL": "a@example.com"}
    text = (service.root / ".env").read_text()
    assert text.replace(key, "").replace(password, "") == (service.root / "example.env").read_text()
    if os.name != "nt":
        assert (service.root / ".env").stat().st_mode & 0o777 == 0o600


def test_line_endings_of_the_example_are_kept(service: Service) -> None:
    example = b"A=1\r\nSECRET_KEY=\r\nFIRST_SUPERUSER_PASSWORD=\r\nB=2\r\n"
    (service.root / "example.env").write_bytes(example)

    service.load_script().write_env()

    lines = (service.root / ".env").read_bytes().split(b"\r\n")
    assert [line.partition(b"=")[0] for line in lines] == [
        *(b"A", b"SECRET_KEY", b"FIRST_SUPERUSER_PASSWORD", b"B", b"")
    ]
    assert all(line.partition(b"=")[2] for line in lines[:-1])


def test_secrets_of_the_example_are_kept(service: Service) -> None:
    (service.root / "example.env").write_text("SECRET_KEY=ours\nFIRST_SUPERUSER_PASSWORD=\n")

    service.load_script().write_env()

    assert service.settings()["SECRET_KEY"] == "ours"


def test_second_run_changes_nothing(service: Service) -> None:
    assert service.set_up().returncode == 0
    before = service.snapshot()
    service.index.trouble = "503"

    result = service.set_up()

    assert result.returncode == 0, result.stdout
    assert service.snapshot() == before
    assert result.stdout.count(" ... kept\n") == 3
    log = (service.root / "var/setup.log").read_text("utf-8")
    assert log.count("$ python -m alembic upgrade head") == 1


def test_changed_requirements_are_installed_into_the_same_environment(service: Service) -> None:
    (service.root / "requirements-dev.txt").write_text("")
    assert "Step 4 failed" in service.set_up().stdout  # toybox is missing
    (service.root / ".venv/mine").touch()
    (service.root / "requirements-dev.txt").write_text(requirements("toybox"))

    assert service.set_up().returncode == 0

    assert (service.root / ".venv/mine").exists()
    service.check_complete()


@posix
def test_strict_umask_works(service: Service) -> None:
    old_mask = os.umask(0o077)
    try:
        result = service.set_up()
    finally:
        os.umask(old_mask)

    assert result.returncode == 0, result.stdout
    service.check_complete()


def test_output_has_no_colors_and_no_special_characters(service: Service) -> None:
    result = service.set_up(FORCE_COLOR="1", CLICOLOR_FORCE="1")

    assert result.returncode == 0, result.stdout
    assert result.stdout.replace("é", "").isascii()  # of the path
    assert "\x1b" not in result.stdout + (service.root / "var/setup.log").read_text("utf-8")


def test_terminal_that_can_not_show_the_path_is_enough(service: Service) -> None:
    result = service.set_up(PYTHONIOENCODING="ascii")

    assert result.returncode == 0, result.stdout
    assert r"s\xe9rvice" in result.stdout
