"""Combinations of answers as data, and fixtures that generate services from them.

Each test process generates a combination once, and its tests only read the result.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pytest_cookies.plugin import Cookies, Result
from xdist.scheduler import LoadScopeScheduling

from dev import ROOT, clean_environment
from hooks.pre_gen_project import CHOICES
from tests.support import as_administrator

# Under nohup, or in the background of a shell, a process ignores these signals, and so do its
# children, which tests want to interrupt. A handler does nothing either, but isn't inherited.
for name in ("SIGINT", "SIGHUP"):  # Windows has no SIGHUP
    number = getattr(signal, name, signal.SIGINT)
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# Cookiecutter would copy bytecode of the modules that tests import from the template.
sys.dont_write_bytecode = True

# The examples of each property test. The long run looks for new ones each time.
settings.register_profile("ci", max_examples=500, derandomize=True, deadline=None, database=None)
settings.register_profile("long", max_examples=2_500, deadline=None, database=None)
settings.load_profile("ci")

Answers = dict[str, str | bool]

DATABASES = CHOICES["database"]
LICENSES = CHOICES["license"]
VOCABULARIES = CHOICES["layer_names"]


def is_valid(answers: Mapping[str, str | bool]) -> bool:
    """Return whether the hook accepts these answers together."""
    return (answers["database"], answers["deployment"]) != ("sqlite", "docker_and_kubernetes")


def pairs_of(answers: Answers) -> set[object]:
    return {*itertools.combinations(answers.items(), 2)}


def cover_pairs(values: Mapping[str, Sequence[str | bool]]) -> Iterator[Answers]:
    """Yield few sets of answers in which every valid pair of values occurs."""
    product = itertools.product(*values.values())
    rows: list[Answers] = [dict(zip(values, row, strict=True)) for row in product]
    rows = [row for row in rows if is_valid(row)]
    missing = set[object]().union(*map(pairs_of, rows))
    while missing:
        best = max(rows, key=lambda row: len(pairs_of(row) & missing))
        missing -= pairs_of(best)
        yield best


# Every pair of the answers that select files. BOOLEANS change only the steps after generation, which
# test_generated_service.py covers. The names of the layers are changed in whatever was rendered,
# which test_layers.py covers.
SELECTING = {name: values for name, values in CHOICES.items() if name != "layer_names"}
DEFAULTS = {name: values[0] for name, values in SELECTING.items()}
COMBINATIONS: dict[str, Answers] = {
    "-".join(map(str, answers.values())): answers for answers in cover_pairs(SELECTING)
}
# Valid answers with characters that could break out of strings, comments and web pages.
AWKWARD: Answers = {
    "project_name": """O'B "x" ''\' \"\"\" `id` “‘« \\ </title><script>alert(1)</script> &amp; {x} 🚀 שלום""",
    "project_description": """'\\" \\u0041 \"\"\" ''\' %s {x} $(id) --> </script><script>alert(2)</script> &amp; 👩‍👩‍👧 مرحبا""",
    "author_name": """Zoë "Ω" O'Brien \\ <script>alert(3)</script> &amp; {x} 🚀 שלום""",
}
# The services that every run sets up: each database, and both installers.
SCENARIOS: dict[str, Answers] = {
    "sqlite-uv": {"database": "sqlite", "uv": True},
    # The vocabulary in which one layer becomes two packages.
    "postgresql-uv": {
        "database": "postgresql",
        "telemetry": "yes",
        "uv": True,
        "layer_names": "three_tier",
        "deployment": "docker_and_kubernetes",
    },
    "sqlite-pip": {"database": "sqlite", "uv": False, "project_slug": "my_service", **AWKWARD},
}
# The services that the long run sets up and tests: every pair of values of any two answers, and
# every vocabulary of layer names.
PAIRS: dict[str, Answers] = {
    f"service{number}": {
        **answers,
        "layer_names": VOCABULARIES[number % len(VOCABULARIES)],
        "setup_environment": True,
    }
    for number, answers in enumerate(
        cover_pairs({**SELECTING, "uv": (True, False), "init_git": (True, False)})
    )
}
# Every value of an answer without a set-up, which is cheap enough for every run.
NOT_SET_UP: dict[str, Answers] = {
    f"files{number}": {
        **(answers if is_valid(answers) else {**answers, "deployment": "docker"}),
        "setup_environment": False,
        "init_git": number // 2 % 2 == 0,
    }
    for number in range(max(map(len, SELECTING.values())))
    for answers in [{name: values[number % len(values)] for name, values in SELECTING.items()}]
}
ONLY_FILES: Answers = {"setup_environment": False, "init_git": False}


COPIED = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["_copy_without_render"]


def is_copied(name: str) -> bool:
    """Return whether cookiecutter copies a file without rendering it."""
    return any(name == path or name.startswith(f"{path}/") for path in COPIED)


def pytest_configure(config: pytest.Config) -> None:
    # By default, pytest-cookies uses the folder in which pytest was started.
    config.option.template = str(ROOT)


class SchedulingByService(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Run all tests of one generated service in the same process.

    `--dist=loadgroup` would do that, but fails in pytest-xdist 3.8 with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        services = [*SCENARIOS, *PAIRS, *COMBINATIONS]
        return next((name for name in services if f"[{name}" in nodeid), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return SchedulingByService(config, log)


@pytest.fixture(scope="session", autouse=True)
def isolation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolate the tests and the settings of the user who runs them from each other.

    Only the access to the package index and the package caches stay. Filling the caches again in
    each process would take most of the time of a set-up.
    """
    home = tmp_path_factory.mktemp("home")
    config = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    files = {
        "PIP_CONFIG_FILE": config / "pip" / "pip.conf",
        "UV_CONFIG_FILE": config / "uv" / "uv.toml",
    }
    kept = {name: path for name, path in files.items() if path.exists()}
    if os.name != "nt":  # Windows keeps caches outside HOME
        pip_cache = Path.home() / "Library/Caches" if sys.platform == "darwin" else cache
        kept |= {"PIP_CACHE_DIR": pip_cache / "pip", "UV_CACHE_DIR": cache / "uv"}
    with pytest.MonkeyPatch.context() as patch:
        clean = clean_environment()
        for name in [*os.environ]:
            if name not in clean or name.startswith(("GIT_", "XDG_", "COOKIECUTTER_")):
                patch.delenv(name)
        patch.setenv("UV_SYSTEM_CERTS", clean["UV_SYSTEM_CERTS"])
        for name, path in kept.items():
            if name not in os.environ:
                patch.setenv(name, str(path))
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        (home / ".gitconfig").write_text("[user]\nname = Tester\nemail = tester@example.com\n")
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 MB for the test."""
    if sys.platform != "linux":
        pytest.skip("only Linux has tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size=64m,mode=700,uid={os.getuid()},gid={os.getgid()}"
    try:
        as_administrator("mount", "-t", "tmpfs", "-o", options, "none", str(folder))
    except (OSError, subprocess.CalledProcessError):
        if "GITHUB_ACTIONS" in os.environ:  # there, the user may mount disks, so don't skip
            raise
        pytest.skip("only an administrator can mount a disk")
    yield folder
    as_administrator("umount", str(folder))


Bake = Callable[[Answers], Path]


@pytest.fixture(scope="session")
def bake_result(cookies_session: Cookies) -> Callable[[Answers], Result]:
    """Generate only the files. The result also reports rejected answers."""

    def bake_result(answers: Answers) -> Result:
        return cookies_session.bake(extra_context={**ONLY_FILES, **answers})

    return bake_result


@pytest.fixture(scope="session")
def bake(bake_result: Callable[[Answers], Result]) -> Bake:
    """Generate only the files, once for the same answers. Tests must not change them."""
    projects: dict[tuple[tuple[str, str | bool], ...], Path] = {}

    def bake(answers: Answers) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in projects:
            result = bake_result(answers)
            assert result.exception is None, result.exception
            projects[key] = result.project_path
        return projects[key]

    return bake


@pytest.fixture(scope="session", params=COMBINATIONS)
def combination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def answers(combination: str) -> Answers:
    return COMBINATIONS[combination]


@pytest.fixture(scope="session")
def project(bake: Bake, answers: Answers) -> Path:
    """Generate a service for every combination of answers."""
    return bake(answers)
