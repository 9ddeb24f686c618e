"""Give the layers of a new service the names that its team uses.

Cookiecutter renders a service with the default names. If others were chosen, it includes this file
in the new project, and the post-generation hook runs it there and deletes it. It renames the folders
of the layers in `app` and `tests`, and everything that names them:

- import statements, in code and in documents, which stay sorted and wrapped as ruff wants them;
- module paths (`app.crud.user`) and paths of files (`app/crud/user.py`), wherever they stand;
- words that can only be layers: in the import contract and the table `tool.layers` of
  pyproject.toml, in Mermaid diagrams, and in a chain such as `api > services > crud`.

Any other word is prose or a variable, and stays. The template's tests check that its sources name
layers in these ways only.

The layer `schemas` may become two packages, `requests+responses`: see `Pair`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LINE_LENGTH = 100  # that of ruff in pyproject.toml

# An import statement of the service's own modules, with the comments above it. Imports have no
# nested brackets, so this is their whole grammar.
IMPORT = (
    r"(?:^ *#.*\n)*^ *(?:from (?:app|tests)(?:\.\w+)* import (?:\([^()]*\)|[^(\n#]+)"
    r"|import (?:app|tests)(?:\.\w+)*)(?: *#.*)?\n"
)
STATEMENT = re.compile(IMPORT, re.MULTILINE)
BLOCK = re.compile(f"(?:{IMPORT})+", re.MULTILINE)
FROM = re.compile(
    r"(?P<above>(?: *#.*\n)*)(?P<indent> *)from (?P<module>[\w.]+) import "
    r"(?P<names>\([^()]*\)|[^(\n#]*[^(\n# ])(?P<comment> *#.*)?\n"
)
# The same in a diff, without comments.
DIFF_IMPORT = re.compile(
    r"^(?P<prefix>[ +-])from (?:app|tests)[\w.]* import "
    r"(?:\((?:\n(?P=prefix) .*)*\n(?P=prefix)\)|[^(\n]+)\n",
    re.MULTILINE,
)
FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# A line that ends with a closing bracket, from the opening one before it.
LAST_BRACKETS = re.compile(
    r"(.*[(\[{])((?:[^()\[\]{}]|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\})+)([)\]}],?)"
)
# The end of the text before the path of a file, such as a space, or `../` after a bracket.
START = re.compile(r"(?:^|[^\w/.-])(?:\.\.?/)*$")
# At least three layers from top to bottom, such as `api > services > models | schemas`.
CHAIN = re.compile(r"\b\w+(?:\s+\|\s+\w+)*(?:\s+>\s+\w+(?:\s+\|\s+\w+)*){2,}")


def rename(project: Path, names: Mapping[str, str]) -> None:
    """Rename layers in a project with the default names; *names* are the new ones, by layer."""
    texts: dict[Path, str] = {}
    for path in sorted(project.rglob("*")):
        # Lists of pinned packages are long, and name no layer.
        if path.is_file() and ".git" not in path.parts and not path.match("requirements*.txt"):
            with suppress(UnicodeDecodeError):  # pictures
                texts[path] = path.read_bytes().decode()
    pair = Pair(names["schemas"], texts) if "+" in names.get("schemas", "") else None
    renaming = Renaming(names, pair)
    for path, text in texts.items():
        if pair and path.parent == project / "app/schemas":
            for package, part in pair.split(text, path.stem).items():
                copy = project / "app" / f"{package}.new" / path.name
                copy.parent.mkdir(exist_ok=True)
                copy.write_bytes(renaming.file(path, part).encode())
            path.unlink()
        elif (new := renaming.file(path, text)) != text:
            path.write_bytes(new.encode())
    if pair:
        (project / "app/schemas").rmdir()
    # In two steps, because one layer may get the old name of another.
    folders = [project / root / layer for root in ("app", "tests") for layer in names]
    for folder in filter(Path.is_dir, folders):
        folder.rename(folder.with_name(f"{renaming.names[folder.name]}.new"))
    for folder in [*project.glob("app/*.new"), *project.glob("tests/*.new")]:
        folder.rename(folder.with_suffix(""))


class Renaming:
    """What a text becomes with the new names."""

    def __init__(self, names: Mapping[str, str], pair: Pair | None) -> None:
        self.full_names = names
        self.pair = pair
        self.names = {layer: name.partition("+")[0] for layer, name in names.items()}
        layers = "|".join(names)
        self.path = re.compile(
            rf"(?P<start>(?P<root>app|tests)(?P<separator>[./]))(?P<layer>{layers})"
            r"(?P<rest>(?:(?P=separator)[\w*]+)*(?:\.py\b)?)(?![\w-]|\.\w)"
        )
        self.word = re.compile(rf"(?<![\w/.-])(?:{layers})(?![\w/-])")

    def file(self, path: Path, text: str) -> str:
        if path.suffix == ".py":
            return self.python(text)
        if path.suffix == ".md":
            return self.markdown(text)
        if path.name == "pyproject.toml":
            return self.pyproject(text)
        return self.paths(text)

    # --- Paths and words ------------------------------------------------------------------------

    def paths(self, text: str, variables: Collection[int] = (), *, has_files: bool = True) -> str:
        """Rename layers in module paths and paths of files, except at the given positions."""

        def replace(match: re.Match[str]) -> str:
            start, end = match.span()
            if start and not START.search(text, max(0, start - 20), start):
                return match[0]  # the end of a longer path
            before, after = text[max(0, start - 1) : start], text[end : end + 1]
            # SQLite's file has the name app.db.
            is_file = has_files and match[0] == "app.db" and after != "."
            if is_file or start in variables:
                return match[0]
            packages = self.packages(match["root"], match["layer"], match["rest"])
            quote = before if before == after and before in ("`", '"') else ""
            return f"{quote}, {quote}".join(
                match["start"] + package + match["rest"] for package in packages
            )

        return self.path.sub(replace, text)

    def packages(self, root: str, layer: str, rest: str) -> list[str]:
        """Return the new name of a layer: both names of a pair, if no module follows."""
        if self.pair and (root, layer) == ("app", "schemas"):
            module, *name = re.findall(r"\w+", rest.removesuffix(".py")) or [""]
            return self.pair.packages(module, *name[:1])
        return [self.names[layer]]

    def text(self, text: str) -> str:
        """Rename layers in prose, and keep the columns that follow paths."""

        def keep_column(match: re.Match[str]) -> str:
            new = self.paths(match[1])
            return new + " " * max(2, len(match[0]) - len(new))

        text = re.sub(r"(?<!\S)([\w/.-]+/[\w/.-]+) {2,}(?=\S)", keep_column, text)
        return self.chains(self.paths(text))

    def chains(self, text: str) -> str:
        if text.count(" > ") + text.count("\n> ") < 2:  # noqa: PLR2004 -- at least three layers
            return text
        names = {**self.names}
        if self.pair:
            names["schemas"] = f"{self.pair.responses} > {self.pair.requests}"
        return CHAIN.sub(
            lambda chain: self.word.sub(lambda word: names[word[0]], chain[0]),
            text,
        )

    # --- Python ---------------------------------------------------------------------------------

    def python(self, text: str) -> str:
        # Imports, and between them the parts of the text with their positions.
        blocks = find_imports(text)
        starts = [0, *(block.end() for block in blocks)]
        ends = [*(block.start() for block in blocks), len(text)]
        parts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        variables: Collection[int] = ()
        if any(is_bare(part, at.start()) for part in parts for at in self.path.finditer(part)):
            variables = attributes_of_app(text)
        new = [
            self.code(part, [at - start for at in variables])
            for part, start in zip(parts, starts, strict=True)
        ]
        for number, block in enumerate(blocks):
            new[number] += self.imports(block[0])
        return "".join(new)

    def code(self, text: str, variables: Collection[int]) -> str:
        new = self.chains(self.paths(text, variables))
        return new if new == text else fit_lines(text, new)

    def imports(self, block: str) -> str:
        """Rename layers in a block of import statements, and sort it again."""
        old = STATEMENT.findall(block)
        new = [line for statement in old for line in self.statements(statement)]
        return "".join(new if new == old else sorted(new, key=sort_key))

    def statements(self, statement: str) -> Iterator[str]:
        match = FROM.fullmatch(statement)
        if match is None or "#" in match["names"]:
            yield self.paths(statement, has_files=False)  # import app.models
            return
        names = [" ".join(name.split()) for name in match["names"].strip("()").split(",")]
        for module, imported in self.modules(match["module"], [*filter(None, names)]).items():
            yield write_import(match, module, imported)

    def modules(self, module: str, names: list[str]) -> dict[str, list[str]]:
        """Return the new modules from which to import the names, with the names of each."""
        root, layer, *rest = [*module.split("."), ""]
        if not layer:  # from app import models
            new = [self.names.get(name, name) for name in names]
            return {module: new if new == names else sorted(new)}
        if self.pair and (root, layer) == ("app", "schemas") and rest[0]:
            found: dict[str, list[str]] = {}
            for name in names:
                (package,) = self.pair.packages(rest[0], name.split()[0])
                found.setdefault(f"app.{package}.{rest[0]}", []).append(name)
            return found
        return {".".join([root, self.names.get(layer, layer), *rest]).rstrip("."): names}

    # --- Documents and settings -----------------------------------------------------------------

    def markdown(self, text: str) -> str:
        parts = []
        end = 0
        for fence in FENCE.finditer(text):
            parts += [self.text(text[end : fence.start()]), self.block(fence)]
            end = fence.end()
        return "".join([*parts, self.text(text[end:])])

    def block(self, fence: re.Match[str]) -> str:
        language, title, text = fence[1], fence[2] or "", fence[3]
        if self.pair and language == "python" and title.startswith("app/schemas/"):
            path = Path(title)
            return "\n\n".join(
                f'```python title="app/{package}/{path.name}"\n{self.python(part)}```'
                for package, part in self.pair.split(text, path.stem).items()
            )
        write = {"python": self.python, "diff": self.diff, "mermaid": self.diagram}
        return (
            self.paths(fence[0][: -len(f"{text}```")])
            + write.get(language, self.text)(text)
            + "```"
        )

    def diagram(self, text: str) -> str:
        """Rename layers in a Mermaid diagram; labels in quotes are prose."""
        parts = self.paths(text).split('"')
        parts[::2] = [self.word.sub(lambda word: self.names[word[0]], part) for part in parts[::2]]
        return '"'.join(parts)

    def diff(self, text: str) -> str:
        """Rename layers in a diff, whose places are separated by lines with `@@`.

        The imports of each layer become a place of their own, because other imports may stand
        between them when they have been sorted by the new names.
        """
        parts = re.split(r"^@@\n", text, flags=re.MULTILINE)
        places = [place for part in parts for place in self.places(part)]
        return "@@\n".join(place for place in places if re.search(r"^[+-]", place, re.MULTILINE))

    def places(self, part: str) -> list[str]:
        places = [""]
        layers: dict[str, str] = {}  # the imports of each layer in one block
        end = 0
        for match in DIFF_IMPORT.finditer(part):
            if match.start() != end:
                places += [*layers.values(), self.paths(part[end : match.start()])]
                layers = {}
            prefix = match["prefix"]
            for new in self.statements(re.sub(r"(?m)^.", "", match[0])):
                layer = ".".join(new.split()[1].split(".")[:2])
                lines = "".join(f"{prefix}{line}\n" for line in new.splitlines())
                layers[layer] = layers.get(layer, "") + lines
            end = match.end()
        places += layers.values()
        rest = self.paths(part[end:])
        if rest.strip("\n -"):
            return [*places, rest]
        places[-1] += rest  # blank lines can't be found alone
        return places

    def pyproject(self, text: str) -> str:
        """Rename layers in the settings of the tools."""

        def contract(layers: re.Match[str]) -> str:
            names = {**self.names}
            if self.pair:
                names["schemas"] = self.pair.responses
            lines = []
            for line in layers[0].splitlines():
                lines.append(self.word.sub(lambda word: names[word[0]], line))
                if self.pair and re.search(r"\bschemas\b", line):
                    # Modules of responses may import those of requests.
                    lines.append(f'    "{self.pair.requests}",')
            return "\n".join(lines)

        def table(layers: re.Match[str]) -> str:
            return re.sub(
                r'(?<== ")\w+', lambda name: self.full_names.get(name[0], name[0]), layers[0]
            )

        text = re.sub(r"^layers = \[\n(?:.*\n)*?\]", contract, text, flags=re.MULTILINE)
        text = re.sub(r"^\[tool\.layers\]\n(?:.+\n)*", table, text, flags=re.MULTILINE)
        return self.paths(text, has_files=False)


def find_imports(text: str) -> list[re.Match[str]]:
    """Find the blocks of import statements; a blank line ends the last one."""
    last = max(
        text.rfind(f"{word} {root}") for word in ("from", "import") for root in ("app", "tests")
    )
    end = text.find("\n\n", last)
    return [*BLOCK.finditer(text, 0, len(text) if end == -1 else end + 1)]


def sort_key(statement: str) -> tuple[bool, list[str | int]]:
    """Sort as ruff does: `import` before `from`, and numbers by their value."""
    line = next(line for line in statement.splitlines() if not line.lstrip().startswith("#"))
    keyword, module = line.split()[:2]
    parts = re.split(r"(\d+)", module)
    return keyword == "from", [int(part) if part.isdigit() else part for part in parts]


def write_import(match: re.Match[str], module: str, names: Iterable[str]) -> str:
    """Write an import as it was, on one line if it was on one line and still fits."""
    start, comment = f"{match['indent']}from {module} import", match["comment"] or ""
    line = f"{start} {', '.join(names)}{comment}"
    # A comma after the last name keeps one name on each line.
    if match["names"].startswith("(") or (len(line) > LINE_LENGTH and not comment):
        inner = "".join(f"\n{match['indent']}    {name}," for name in names)
        line = f"{start} ({inner}\n{match['indent']}){comment}"
    return f"{match['above']}{line}\n"


def fit_lines(old: str, new: str) -> str:
    """Wrap the brackets at the end of lines that are too long now, and join those that fit again.

    As ruff does it, if the content of the brackets fits on one line and ends without a comma.
    """
    result: list[str] = []
    is_text = False
    lines = iter(zip(old.split("\n"), new.split("\n"), strict=True))
    for before, line in lines:
        wrapped = LAST_BRACKETS.fullmatch(line)
        if before == line or is_text or line.lstrip().startswith("#"):
            result.append(line)
        elif len(line) > LINE_LENGTH and wrapped:
            start, inner, end = wrapped.groups()
            indent = " " * (len(line) - len(line.lstrip()))
            result += [start, f"{indent}    {inner}", f"{indent}{end}"]
        elif result and result[-1].endswith(("(", "[", "{")) and not line.endswith((",", "(")):
            after = next(lines, ("", ""))[1]
            joined = f"{result[-1]}{line.strip()}{after.strip()}"
            is_short = len(joined) <= LINE_LENGTH and after.lstrip().startswith((")", "]", "}"))
            result[-1:] = [joined] if is_short else [result[-1], line, after]
        else:
            result.append(line)
        is_text ^= line.count('"""') % 2 == 1
    return "\n".join(result)


def is_bare(text: str, start: int) -> bool:
    """Return whether `app.` is neither the beginning of a string nor part of a comment."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return text.startswith("app.", start) and not re.search(r"[\"'`]$|^[^\"']*#", line)


def attributes_of_app(text: str) -> set[int]:
    """Find attributes of a variable `app`, such as the application, which are no modules."""
    if re.search(r"^ *import app\b", text, re.MULTILINE):
        return set()
    lines = text.splitlines(keepends=True)
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            line = node.lineno - 1
            column = len(lines[line].encode()[: node.col_offset].decode())
            found.add(sum(map(len, lines[:line])) + column)
    return found


# --- Requests and responses -------------------------------------------------------------------------

RESPONSE = "ResponseSchema"  # the base class of everything that goes out


class Part(NamedTuple):
    """A statement of a module, with the blank lines and comments above it."""

    text: str
    is_definition: bool  # of a class or function
    names: set[str]
    uses: set[str]
    bases: set[str]


class Pair:
    """Two packages instead of `schemas`.

    Classes that are derived from `ResponseSchema` go into the second package, and so does what only
    they use. Everything else goes into the first, from which the second one imports.
    """

    def __init__(self, name: str, texts: Mapping[Path, str]) -> None:
        self.requests, self.responses = name.split("+")
        self.modules: dict[str, list[Part]] = {}
        for path, text in texts.items():
            if path.parent.name == "schemas" and path.suffix == ".py":
                self.modules[path.stem] = parse(text)
            elif path.suffix == ".md":
                for language, title, source in FENCE.findall(text):
                    if language == "python" and title.startswith("app/schemas/"):
                        self.modules[Path(title).stem] = parse(source)
        self.outgoing = {RESPONSE}
        self.find_outgoing()

    def find_outgoing(self) -> None:
        before = 0
        while before != len(self.outgoing):
            before = len(self.outgoing)
            for parts in self.modules.values():
                for part in parts:
                    users = [user for user in parts if user is not part and user.uses & part.names]
                    if part.bases & self.outgoing or (
                        users and all(user.names & self.outgoing for user in users)
                    ):
                        self.outgoing |= part.names

    def packages(self, module: str, name: str = "") -> list[str]:
        """Return the packages that have a module, or the name in it."""
        names = (
            {name}
            if name
            else {name for part in self.modules.get(module, []) for name in part.names}
        )
        both = {self.requests: names - self.outgoing, self.responses: names & self.outgoing}
        found = [package for package, its_names in both.items() if its_names]
        return found or [*both]

    def split(self, text: str, module: str) -> dict[str, str]:
        """Return the source of a module for each package that has it."""
        packages = self.packages(module)
        return {package: self.source(text, module, package) for package in packages}

    def source(self, text: str, module: str, package: str) -> str:
        is_outgoing = package == self.responses
        parts = self.modules[module]
        chosen = [part for part in parts if bool(part.names & self.outgoing) == is_outgoing]
        used = {name for part in chosen for name in part.uses}
        there = {name for part in parts if part not in chosen for name in part.names}
        tree = ast.parse(text)
        blocks = [ast.get_docstring(tree, clean=False) or ""]
        if blocks[0]:
            side = "responses" if is_outgoing else "requests"
            blocks[0] = f'"""{blocks[0]}"""\n'.replace("requests and responses", side)
        last = 0
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                if node.lineno > last + 1:
                    blocks.append("")
                last = node.end_lineno or node.lineno
                blocks[-1] += keep_import(ast.get_source_segment(text, node) or "", used)
        if used & there:
            if "from app." not in blocks[-1]:
                blocks.append("")
            blocks[-1] += f"from app.schemas.{module} import {', '.join(sorted(used & there))}\n"
        source = "\n".join(filter(None, blocks))
        above: Part | None = None
        for part in chosen:
            statement = part.text.lstrip("\n")
            blank = len(part.text) - len(statement)
            if above is None:
                blank = 1 if source else 0
            if source and (part.is_definition or (above and above.is_definition)):
                blank = 2
            source += "\n" * blank + statement
            above = part
        return source


def parse(text: str) -> list[Part]:
    """Split a module into the statements that define names."""
    lines = text.splitlines(keepends=True)
    parts: list[Part] = []
    end = 0
    for node in ast.parse(text).body:
        start, end = end, node.end_lineno or end
        source = "".join(lines[start:end])
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = {node.name}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = names_in(*targets)
        else:
            if parts and not isinstance(node, ast.Import | ast.ImportFrom):
                parts[-1] = parts[-1]._replace(text=parts[-1].text + source)
            continue
        uses = names_in(node) - names
        bases = names_in(*node.bases) if isinstance(node, ast.ClassDef) else set()
        is_definition = not isinstance(node, ast.Assign | ast.AnnAssign)
        parts.append(Part(source, is_definition, names, uses, bases))
    return parts


def names_in(*nodes: ast.AST) -> set[str]:
    return {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}


def keep_import(statement: str, used: Collection[str]) -> str:
    """Keep only the names of an import that are used."""
    match = FROM.fullmatch(f"{statement}\n")
    if match is None:
        return f"{statement}\n" if statement.rpartition(" ")[2].partition(".")[0] in used else ""
    names = [" ".join(name.split()) for name in match["names"].strip("()").split(",")]
    kept = [name for name in names if name and name.split()[-1] in used]
    return write_import(match, match["module"], kept) if kept else ""
