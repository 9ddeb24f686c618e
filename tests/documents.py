"""Reads the documents of a generated service and does what they say.

A fenced block of code says what to do with it by its first line:

    ```sh                         run it
    ```python title="app/x.py"    write it to that file
    ```diff title="app/x.py"      change that file; each part between `@@` lines must occur once
    ```python                     compile it
    ```json                       parse it

A comment before a block, `<!-- not run: the reason -->`, exempts it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?"
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
INLINE_COMMAND = re.compile(
    r"`((?:\.venv/bin/|python3? |alembic |pip |poe |pipx |uvicorn |fastapi |git )[^`]+)`"
)
# In alembic/README, two spaces separate a command from what it does.
INDENTED_COMMAND = re.compile(r"^    (\.venv/bin/.+?)(?:  .*)?$", re.MULTILINE)


class Block(NamedTuple):
    document: str
    line: int
    language: str
    title: str | None
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


class Section(NamedTuple):
    """A `##` section of a document with its blocks."""

    title: str
    text: str
    blocks: list[Block]


def documents(project: Path) -> list[Path]:
    return sorted([*project.glob("*.md"), *project.glob("docs/**/*.md")])


def read_blocks(document: Path, project: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [*_blocks(text, document.relative_to(project).as_posix())]


def read_sections(document: Path, project: Path) -> list[Section]:
    text = document.read_text(encoding="utf-8")
    name = document.relative_to(project).as_posix()
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return [
        Section(title, body, [*_blocks(body, f"{name} ({title})")])
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def _blocks(text: str, name: str) -> Iterator[Block]:
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(name, line, match["language"], match["title"], match["text"], match["reason"])


def commands(document: Path) -> list[str]:
    """List the commands in the sentences and tables of a document, or indented in a plain text."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return [*INLINE_COMMAND.findall(text), *INDENTED_COMMAND.findall(text)]


def check(block: Block) -> None:
    """Fail if the block can't be what its language says."""
    match block.language:
        case "python":
            ast.parse(block.text)
        case "json":
            json.loads(block.text)
        case "sh":
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
        case "diff":
            assert block.title, f"{block}: which file does it change?"
        case "mermaid" | "ini" | "nginx" | "":
            pass  # tests/test_host.py checks the units and sites
        case language:
            raise AssertionError(f"{block}: {language} is not known to tests/documents.py")


def apply(block: Block, project: Path, environment: Mapping[str, str]) -> None:
    """Do what the block says, in *project*."""
    if block.language == "sh":
        run_shell(block.text, project, environment)
    elif block.language == "diff":
        assert block.title
        path = project / block.title
        path.write_text(patch(path.read_text(encoding="utf-8"), block), encoding="utf-8")
    elif block.title:
        path = project / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    else:
        check(block)


def patch(text: str, block: Block) -> str:
    """Replace the old lines of a diff (` ` and `-`), which must occur once, by the new ones.

    A line `@@` stands between two places of the file.
    """
    for part in re.split(r"^@@\n", block.text, flags=re.MULTILINE):
        lines = part.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        new = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{block}: {block.title} has {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    return text


def run_shell(script: str, project: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout
