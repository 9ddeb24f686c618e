"""Performs the steps of a service's Dockerfile in a folder, without Docker.

Each absolute path of the image, such as /srv, is a path below that folder. The base image is this
Python, copied to usr/local, with pip and a shell, and no compiler. This tests neither the real base
image with its Debian packages nor the isolation of a container.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from dev import INSTALLER_VARIABLES

# Paths at which the image has files of its own.
PATHS = re.compile(r"(?<![\w.-])/(data|opt|srv)\b")
# Programs of the base image that the steps may use, besides Python.
PROGRAMS = ("install", "sh")
# Large parts of Python's library that a service can't need.
LEFT_OUT = shutil.ignore_patterns(
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "config-*",
    "__pycache__",
)


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    text = re.sub(r"(?m)^#.*\n", "", dockerfile).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, value = line.partition(" ")
        yield name, value.strip()


def context_of(project: Path) -> list[str]:
    """List the files that .dockerignore lets into the build."""
    rules = []
    for line in (project / ".dockerignore").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = (
                re.escape(line.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            )
            rules.append((re.compile(pattern + "(/.*)?"), line.startswith("!")))
    names = [p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file()]
    chosen = []
    for name in names:
        included = True
        for rule, includes in rules:
            if rule.fullmatch(name):
                included = includes
        if included:
            chosen.append(name)
    return sorted(chosen)


@dataclass
class Image:
    """An image that is being built in the folder *root*."""

    root: Path
    project: Path
    env: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = ""
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stop_signal: str = ""
    steps: list[tuple[str, float]] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        return self.root / "image"

    def path(self, text: str) -> str:
        return PATHS.sub(lambda match: f"{self.tree}{match[0]}", text)

    def build(self) -> None:
        stages: dict[str, tuple[Path, dict[str, str]]] = {}
        name = ""
        for instruction, value in instructions((self.project / "Dockerfile").read_text("utf-8")):
            if instruction == "FROM":
                if name:
                    stages[name] = self.root / name, dict(self.env)
                    self.tree.rename(self.root / name)
                base, _, name = value.partition(" AS ")
                self.env = dict(stages[base][1]) if base in stages else {}
                self.folder = "/"
                if base in stages:
                    shutil.copytree(
                        stages[base][0], self.tree, symlinks=True, copy_function=os.link
                    )
                else:
                    make_base(self.tree, self.root)
            else:
                since = time.monotonic()
                self.perform(instruction, value)
                self.steps.append((f"{instruction} {value}", time.monotonic() - since))
            name = name or "result"

    def perform(self, instruction: str, value: str) -> None:
        match instruction:
            case "WORKDIR":
                self.folder = value
                Path(self.path(value)).mkdir(parents=True, exist_ok=True)
            case "ENV":
                for assignment in shlex.split(value):
                    variable, _, text = assignment.partition("=")
                    known = {"PATH": self.search_path(), **self.env}
                    self.env[variable] = Template(self.path(text)).substitute(known)
            case "COPY":
                self.copy(*value.split())
            case "RUN":
                self.run(["sh", "-c", value])
            case "USER":
                self.user = value
            case "STOPSIGNAL":
                self.stop_signal = value
            case "HEALTHCHECK":
                self.healthcheck = json.loads(value.partition(" CMD ")[2])
            case "CMD":
                self.command = json.loads(value)
            case "EXPOSE":
                pass
            case _:
                raise AssertionError(f"tests/image.py doesn't know {instruction}")

    def copy(self, *words: str) -> None:
        *sources, target = [word for word in words if not word.startswith("--")]
        stage = next((word[len("--from=") :] for word in words if word.startswith("--from=")), "")
        place = Path(self.path(target)) if target[0] == "/" else self.place / target
        for source in sources:
            if stage:
                path = self.root / stage / source.lstrip("/")
                shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True)
            else:
                found = [
                    name
                    for name in context_of(self.project)
                    if name == source or name.startswith(f"{source}/")
                ]
                assert found, f"COPY {source}: not in the build context"
                for name in found:
                    inside = name[len(source) :].lstrip("/") or Path(name).name
                    (place / inside).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(self.project / name, place / inside)

    @property
    def place(self) -> Path:
        return Path(self.path(self.folder)) if self.folder != "/" else self.tree

    def search_path(self) -> str:
        return f"{self.tree}/usr/local/bin:{self.root}/programs"

    def environment(self, variables: Mapping[str, str] | None) -> dict[str, str]:
        caller = {}
        if variables is None:  # the build may use the caller's package index
            caller = {
                name: value
                for name, value in os.environ.items()
                if name == "HOME" or INSTALLER_VARIABLES.fullmatch(name)
            }
        path = {
            "PATH": self.search_path(),
            "LD_LIBRARY_PATH": f"{self.tree}/usr/local/lib",
            "TMPDIR": str(self.root / "tmp"),
        }
        return {**caller, **path, **self.env, **(variables or {})}

    def run(
        self, command: list[str], variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a container with these variables, or a step of the build without.

        It fails with its output.
        """
        done = subprocess.run(
            [*command[:-1], self.path(command[-1])],
            cwd=self.place,
            env=self.environment(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self.account(),
        )
        assert done.returncode == 0, done.stdout
        return done

    def account(self) -> dict[str, Any]:
        """As root, become the user of the image."""
        if os.geteuid() != 0 or not self.user:
            return {}
        user, group = map(int, self.user.split(":"))
        return {"user": user, "group": group, "extra_groups": []}

    @contextmanager
    def container(self, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        """Start the image, with its output in the file `log`."""
        with (self.root / "log").open("w") as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.place,
                env=self.environment(variables),
                stdout=log,
                stderr=log,
                text=True,
                **self.account(),
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def log(self) -> str:
        return (self.root / "log").read_text("utf-8")

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each package in the image and of the service, largest first."""
        sizes = {}
        for folder in (self.tree / "srv", *self.tree.glob("opt/venv/lib/python*/site-packages/*")):
            files = folder.rglob("*") if folder.is_dir() else [folder]
            sizes[folder.name] = sum(path.lstat().st_size for path in files if path.is_file())
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def make_base(tree: Path, root: Path) -> None:
    """Copy this Python with pip, which is what the base image has."""
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    query = "import json, os, pip; print(json.dumps([os.__file__, pip.__file__]))"
    done = subprocess.run([base, "-I", "-c", query], stdout=subprocess.PIPE, check=True)
    library, pip = (Path(path).parent for path in json.loads(done.stdout))
    local = tree / "usr/local"
    copy = local / "lib" / library.name
    for name in ("bin", "lib"):
        (local / name).mkdir(parents=True)
    shutil.copy2(base, local / "bin/python")
    for shared in base.parent.parent.glob("lib/libpython*"):
        shutil.copy2(shared, local / "lib", follow_symlinks=False)
    shutil.copytree(library, copy, symlinks=True, ignore=LEFT_OUT)
    shutil.copytree(pip, copy / "site-packages/pip", ignore=shutil.ignore_patterns("__pycache__"))
    starter = local / "bin/pip"
    starter.write_text(f'#!/bin/sh\nexec "{local}/bin/python" -m pip "$@"\n')
    starter.chmod(0o755)
    programs = root / "programs"
    programs.mkdir(exist_ok=True)
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found
        if not (programs / program).exists():
            (programs / program).symlink_to(found)


def make_read_only(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink() and path.relative_to(folder).parts[:1] != ("data",):
            path.chmod(path.stat().st_mode & ~0o222)
