"""The template's documents name only files, commands, options and code that exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from dev import COMMANDS, ROOT, TEMPLATE, clean_environment, in_environment
from tests.conftest import Bake
from tests.support import BINARY, git

DOCUMENTS = ["README.md", "DEVELOPERS.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
# Made by a set-up, a generation or `dev.py try`.
MADE_LATER = {".cruft.json", ".env", ".venv", "INCOMPLETE.txt", "tmp", "var"}
# Programs of others, or files in examples.
FOREIGN = {"file:///….git", "../x", "json.py", "uv.toml"}


@cache
def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def code_of(document: str) -> list[str]:
    """List the code spans and the lines of code blocks."""
    text = text_of(document)
    blocks = re.findall(r"^ {4,}(?![-*] )(.+)$", text, re.MULTILINE)
    prose = re.sub(r"^ {4,}(?![-*] ).+$", "", text, flags=re.MULTILINE)
    spans = [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    return blocks + spans


CODE = [(document, code) for document in DOCUMENTS for code in code_of(document)]


def anchors(document: str) -> set[str]:
    """Make the anchors of all headings as forges do."""
    headings = re.findall(r"^#+ (.+)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text_of(document)):
        if "://" in link:
            continue
        path, _, anchor = link.replace("%7B", "{").replace("%7D", "}").partition("#")
        assert (ROOT / path).exists(), link
        if anchor:
            assert anchor in anchors(path or document), link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document: str) -> None:
    for code in code_of(document):
        is_path = re.fullmatch(r"[\w.{}/-]*(/[\w.{}-]*|\.(py|md|toml|json|txt|ini|yml))", code)
        if is_path and code not in FOREIGN and not code.startswith("/"):
            found = [(folder / code).exists() for folder in (ROOT, TEMPLATE)]
            assert any(found) or Path(code).parts[0] in MADE_LATER, code


@cache
def sources() -> str:
    """Join all files that aren't documents, for a search."""
    names = git(ROOT, "ls-files", "-z").split("\0")[:-1]
    paths = [ROOT / name for name in names if not name.endswith((".md", ".svg", *BINARY))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_in_code_exist(document: str) -> None:
    names = [code for code in code_of(document) if re.fullmatch(r"\w*_\w*", code)]

    assert [name for name in names if not re.search(rf"\b{name}\b", sources())] == []


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [*in_environment(COMMANDS[command][0]), "--help"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


DEV_COMMANDS = sorted({code for _, code in CODE if code.startswith("python3 dev.py ")})


@pytest.mark.parametrize("code", DEV_COMMANDS)
def test_command_of_dev_exists_with_its_options(code: str) -> None:
    name, *arguments = shlex.split(code)[2:]

    assert name in COMMANDS
    if name == "benchmark":
        assert arguments[0] in help_of(name)
        arguments = []  # its options belong to the name; tests/test_benchmarks.py uses them
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    assert [option for option in options if option not in help_of(name)] == []


def test_every_command_of_dev_is_documented() -> None:
    documented = {shlex.split(code)[2] for code in DEV_COMMANDS}

    assert documented == COMMANDS.keys()


def test_tasks_of_the_service_exist() -> None:
    found = {
        match[1] for _, code in CODE if (match := re.fullmatch(r"(?:\.venv/bin/)?poe (\w+)", code))
    }
    text = (TEMPLATE / "pyproject.toml").read_text(encoding="utf-8")
    tasks = tomllib.loads(re.sub(r"\{\{.*?\}\}", "", text))["tool"]["poe"]["tasks"]

    assert found
    assert found <= tasks.keys()


def test_modules_exist() -> None:
    modules = re.findall(r"python -m ([\w.]+)", "\n".join(code for _, code in CODE))

    assert modules
    for name in {*modules}:
        if name.partition(".")[0] == "app":  # a module of the service
            place = TEMPLATE / name.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name
        else:
            assert find_spec(name) is not None, name


def test_dev_lists_its_commands() -> None:
    done = subprocess.run(
        [sys.executable, "dev.py"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )

    listed = re.findall(r"^python3 dev\.py (\w+)", done.stdout, re.MULTILINE)
    assert listed == [*COMMANDS]


def test_every_answer_is_documented_with_its_default() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = {name: value for name, value in questions.items() if not name.startswith("_")}
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", text_of("README.md"), re.MULTILINE)

    assert [name for name, _ in rows] == [*asked]
    for name, shown in rows:
        default = asked[name][0] if isinstance(asked[name], list) else asked[name]
        if default is True:
            default = "yes"
        assert shown == ("from the name" if name == "project_slug" else default)


def test_documented_generation_works(tmp_path: Path) -> None:
    (line,) = [code for _, code in CODE if code.startswith("cookiecutter --no-input")]
    command = shlex.split(line.replace("ADDRESS", str(ROOT)))

    subprocess.run(
        [sys.executable, "-m", *command, "setup_environment=no"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        check=True,
    )

    assert (tmp_path / "order_desk/app/main.py").exists()
    assert not (tmp_path / "order_desk/.git").exists()


def test_tree_of_the_first_day_names_the_files_of_a_service(bake: Bake) -> None:
    (tree,) = re.findall(r"```\n(my_service/\n.+?)```", text_of("README.md"), re.DOTALL)
    folder = ""
    named = set()
    for line in tree.splitlines()[1:]:
        ((indent, names),) = re.findall(r"^([│├└─ ]+)([\w./-]+(?:, [\w./-]+)*)", line)
        inner = len(indent) > len("├── ")
        for name in names.split(", "):
            path = Path(f"{folder}{name}" if inner else name)
            assert (TEMPLATE / path).exists() or path.parts[0] in MADE_LATER, path
            named.add(path.parts[0])
        if not inner:
            folder = names
    assert {path.name for path in bake({}).iterdir()} - MADE_LATER == named - MADE_LATER
