"""Helpers that run programs, copy this checkout to repositories, and parse files."""

from __future__ import annotations

import ast
import configparser
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import yaml

from dev import ROOT


def run(*command: str, cwd: Path) -> str:
    """Run a command without a terminal and return its output. Fails with the output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def as_administrator(*command: str) -> None:
    """Run a command with the right to mount disks, if the user has it."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, *command], check=True, capture_output=True)


def git(folder: Path, *arguments: str) -> str:
    return run("git", *arguments, cwd=folder).strip()


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def copy_checkout(repository: Path) -> None:
    """Replace the files of a repository with those of this checkout, committed or not."""
    for name in git(repository, "ls-files", "-z").split("\0")[:-1]:
        (repository / name).unlink()
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in listed.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name)


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder except those of git."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


# The instructions of a Dockerfile that a service may need.
DOCKER = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
BINARY = (".gz", ".png")
# Files without a grammar that could be checked.
PROSE = {"", ".css", ".html", ".jinja", ".mako", ".md", ".txt"}


def parse(path: Path) -> None:
    """Fail if the content of a file doesn't fit its name, or if its type is unknown."""
    if path.name.endswith(BINARY):
        return
    text = path.read_bytes().decode("utf-8")
    if path.name.startswith(("Dockerfile", "Containerfile")):
        parse_dockerfile(text)
        return
    if path.suffix == ".sh" or (text.startswith("#!") and "sh" in text.partition("\n")[0]):
        subprocess.run(["bash", "-n", str(path)], check=True)
        return
    match path.suffix:
        case ".py":
            ast.parse(text)
        case ".toml":
            tomllib.loads(text)
        case ".json":
            json.loads(text)
        case ".yaml" | ".yml":
            list(yaml.safe_load_all(text))
        case ".ini" | ".cfg":
            configparser.ConfigParser().read_string(text)
        case ".env":
            for line in text.splitlines():
                assert not line or line.startswith("#") or line.partition("=")[0].isidentifier()
        case suffix:
            assert suffix in PROSE, f"{path}: add a parser for this type of file"


def parse_dockerfile(text: str) -> None:
    joined = text.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    for line in lines:
        assert not line or line.startswith("#") or line.split()[0].upper() in DOCKER, line
