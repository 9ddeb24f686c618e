"""The layers have the names that were chosen, everywhere, and the code stays clean.

The renaming is tried on copies of one generated service: with each vocabulary, with each synonym of
each layer, and with random names. test_generated_service.py sets up a service with other names.
"""

from __future__ import annotations

import ast
import fnmatch
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev import BIN, ROOT, TEMPLATE
from hooks import pre_gen_project as hook
from hooks.post_gen_project import RENAMING
from templates.rename_layers import Pair, Renaming, rename
from tests import documents
from tests.conftest import VOCABULARIES, Bake
from tests.support import BINARY, run
from tools.running import program, remove_local_postgres

QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
LAYERS = QUESTIONS["_layer_names"]["default"].split()
# The names that teams use.
SYNONYMS = {
    "api": ["routers", "controllers", "endpoints", "rest"],
    "core": ["config", "settings", "main_config"],
    "crud": ["repositories", "dao", "data_access_object", "data_access", "storage"],
    "db": ["database", "orm", "sqlalchemy"],
    "dependencies": ["deps", "auth", "utils", "middlewares"],
    "models": ["entities", "domain", "tables", "dto", "data_transfer_object"],
    "schemas": [
        "dto",
        "data_transfer_objects",
        "serializers",
        "pydantic_models",
        "requests+responses",
    ],
    "services": ["use_cases", "business_logic", "handlers", "interactors", "operations", "flows"],
    "utils": ["helpers", "tools", "lib", "functions", "shared"],
}

Names = dict[str, str]
LONG = "x" * 30


def vocabulary(names: str) -> Names:
    return dict(zip(LAYERS, names.split(), strict=True))


# Every synonym, in vocabularies without clashes.
WITH_SYNONYMS: list[Names] = [
    {
        layer: names[(number + (layer == "schemas")) % len(names)]
        for layer, names in SYNONYMS.items()
    }
    for number in range(6)
]
TRIED: dict[str, Names] = {
    **{name: vocabulary(QUESTIONS["_layer_names"][name]) for name in VOCABULARIES},
    **{f"synonyms-{number}": names for number, names in enumerate(WITH_SYNONYMS)},
    "longest": {layer: layer.ljust(30, "x") for layer in LAYERS},
    "shortest": vocabulary("z y x w v u t s r"),
    # Each layer has the name that another one had.
    "exchanged": dict(zip(LAYERS, [*LAYERS[1:], LAYERS[0]], strict=True)),
    "one": {
        **vocabulary(QUESTIONS["_layer_names"]["default"]),
        "schemas": "db+responses",
        "db": "orm",
    },
    # They look dangerous: packages that the service imports, and other folders of the project.
    "packages": vocabulary(
        "fastapi pydantic httpx2 sqlalchemy typing email requests alembic logging"
    ),
    "folders": vocabulary("scripts docs benchmarks v1 user test config base types"),
}
del TRIED["default"]
LOOK_DANGEROUS = {"packages", "folders"}


def changed(names: Names) -> Names:
    return {layer: name for layer, name in names.items() if name != layer}


def problems(names: Names) -> list[hook.Problem]:
    text = ",".join(f"{layer}={name}" for layer, name in names.items())
    return hook.check_layers(
        {"_layers": text, "_layer_names": QUESTIONS["_layer_names"], "layer_names": "default"}
    )


@pytest.fixture(scope="session")
def base(bake: Bake) -> Path:
    """A service with the default names and the files of both databases."""
    return bake({"database": "postgresql", "deployment": "docker_and_kubernetes"})


@pytest.fixture(scope="session")
def renamed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies of the service, by vocabulary."""
    folder = tmp_path_factory.mktemp("renamed")
    for name, names in TRIED.items():
        copy_renamed(base, folder / name, names)
    return {name: folder / name for name in TRIED}


def copy_renamed(base: Path, copy: Path, names: Names) -> Path:
    shutil.copytree(base, copy)
    rename(copy, changed(names))
    return copy


def check_style(folder: Path) -> None:
    """Check each service in a folder with ruff, by the rules of its own pyproject.toml."""
    for command in (["check"], ["format", "--check", "--diff"]):
        run(sys.executable, "-m", "ruff", *command, "--no-cache", "--quiet", ".", cwd=folder)


def files(project: Path) -> dict[str, str]:
    return {
        path.relative_to(project).as_posix(): path.read_bytes().decode()
        for path in sorted(project.rglob("*"))
        if path.is_file()
        and not path.name.startswith("requirements")
        and not path.name.endswith(BINARY)
    }


def check_imports(project: Path) -> None:
    """Check that each import from the service finds its module and the name in it."""
    trees = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): ast.parse(text)
        for name, text in files(project).items()
        if name.endswith(".py")
    }
    packages = {module.rpartition(".")[0] for module in trees} | {*trees}
    defined = {module: {*names_of(tree)} for module, tree in trees.items()}
    for name, tree in trees.items():
        for node in filter(is_import, ast.walk(tree)):
            if isinstance(node, ast.Import):
                imported = [(alias.name, "") for alias in node.names]
            else:
                assert isinstance(node, ast.ImportFrom)
                imported = [(node.module or "", alias.name) for alias in node.names]
            for module, member in imported:
                if module.partition(".")[0] in {"app", "tests"}:
                    assert module in packages, f"{name} imports {module}"
                    found = {"", *defined.get(module, ())}
                    has_member = member in found or f"{module}.{member}" in packages
                    assert has_member, f"{name} imports {member} from {module}"


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def names_of(tree: ast.Module) -> Iterator[str]:
    """List the names that a module defines, those in its `if` and `with` statements too."""
    nodes: list[ast.AST] = [*tree.body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        else:
            nodes += ast.iter_child_nodes(node)


def default_names(project: Path, names: Names) -> list[str]:
    """List the places that name a layer as the template does, although it has another name.

    A word that no layer of this service has may not occur at all if it isn't an ordinary word.
    """
    gone = [layer for layer in changed(names) if layer not in "+".join(names.values()).split("+")]
    if not gone:
        return []
    layer = f"(?:{'|'.join(gone)})"
    everywhere = re.compile(
        rf"(?<![\w/])(?:app|tests)/{layer}\b(?!\.)"
        rf"|(?<![\w/])(?:app|tests)\.(?!db(?:$|[^\w.])){layer}\b(?!\()"
        rf"|`{layer}`(?! in `pyproject)|^\s*{layer} -->|--> {layer}\b|participant \w as {layer}"
        rf"|(?:> ){layer}(?: >| \|)|from app import {layer}\b"
        + (r"|\bcrud\b" if "crud" in gone else ""),
        re.MULTILINE,
    )
    found = [
        f"{name}: {text[text.rfind(chr(10), 0, match.start()) + 1 :].partition(chr(10))[0]}"
        for name, text in files(project).items()
        for match in everywhere.finditer(text)
    ]
    folders = [path for root in ("app", "tests") for path in (project / root).iterdir()]
    return found + [str(path) for path in folders if path.name in gone]


# The questions


def test_prompts_show_the_names() -> None:
    prompts = QUESTIONS["__prompts__"]["layer_names"]
    for name in VOCABULARIES:
        title, _, names = prompts[name].partition(": ")
        assert names == QUESTIONS["_layer_names"][name], title
    assert set(QUESTIONS["_layer_names"]) == {*VOCABULARIES}


def test_every_synonym_is_tried_and_accepted() -> None:
    for layer, synonyms in SYNONYMS.items():
        assert {names[layer] for names in WITH_SYNONYMS} == {*synonyms}, layer
    for name, names in TRIED.items():
        assert problems(names) == [], name


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "crud=models": "the name 'models' to two layers",
        "models=dto,schemas=dto": "the name 'dto' to two layers",
        "dependencies=utils": "the name 'utils' to two layers",
        "schemas=requests+services": "the name 'services' to two layers",
        "crud=class": "'class', which is a keyword of Python",
        "crud=http": "'http', which is the name of another package or module of the service",
        "crud=main": "'main', which is the name of another package or module of the service",
        "crud=support": "'support', which is the name of another package or module of the service",
        "crud=build": "'build', which is a folder that git, pytest, mypy or ruff ignore",
        "crud=nul": "'nul', which is a reserved name on Windows",
        "crud=Storage": "'Storage', which is not one to 30 lowercase letters",
        "crud=../storage": "'../storage', which is not one to 30 lowercase letters",
        "crud=": "'', which is not one to 30 lowercase letters",
        "crud": "'', which is not one to 30 lowercase letters",
        "crud=a=b": "'a=b', which is not one to 30 lowercase letters",
        "crud=" + "x" * 31: "which is not one to 30 lowercase letters",
        "crud=queries+commands": "only schemas may be requests+responses",
        "schemas=a+b+c": "only schemas may be requests+responses",
        "queries=storage": "not 'queries'",
        "crud=storage;services=flows": "'storage;services=flows', which is not",
    }.items(),
)
def test_wrong_names_are_rejected_with_the_reason(text: str, reason: str) -> None:
    answers = {"_layers": text, "_layer_names": QUESTIONS["_layer_names"], "layer_names": "default"}
    (problem,) = hook.check_layers(answers)
    assert reason in problem.reason
    assert problem.answer == "_layers"


def test_names_of_neighbours_are_those_of_the_files() -> None:
    """A new module in `app`, or folder in `tests`, belongs to TAKEN in the pre-generation hook."""
    paths = [*(TEMPLATE / "app").iterdir(), *(TEMPLATE / "tests").iterdir()]
    found = {path.name.removesuffix(".py") for path in paths}
    expected = {name for name in found if not name.startswith(("_", "test_"))} - {*LAYERS}
    taken, _ = hook.TAKEN.values()
    assert {*taken.split()} == expected | {"app", "tests"}


def test_single_layers_are_named_by_a_configuration_and_replayed(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    folders = {"replay_dir": str(tmp_path / "replay"), "cookiecutters_dir": str(tmp_path / "t")}
    own = {"_layers": "crud=queries,schemas=requests+responses"}
    config.write_text(json.dumps({**folders, "default_context": own}), "utf-8")
    command = ["-m", "cookiecutter", "--config-file", str(config), str(ROOT)]

    typed = ["--no-input", "layer_names=dao", "setup_environment=no", "init_git=no"]
    run(sys.executable, *command, *typed, "--output-dir", str(tmp_path / "given"), cwd=tmp_path)
    config.write_text(json.dumps(folders), "utf-8")
    again = ["--replay", "--output-dir", str(tmp_path / "again")]
    run(sys.executable, *command, *again, cwd=tmp_path)

    layers = "endpoints settings queries orm deps tables requests responses operations tools"
    for name in ("given", "again"):
        found = {path.name for path in (tmp_path / name / "my_service/app").iterdir()}
        assert found >= {*layers.split()}
        assert not found & {*LAYERS}
    assert files(tmp_path / "again") == files(tmp_path / "given")


# The renamed services


@pytest.mark.parametrize("name", TRIED)
def test_no_default_name_is_left(renamed: dict[str, Path], name: str) -> None:
    assert default_names(renamed[name], TRIED[name]) == []


@pytest.mark.parametrize("name", TRIED)
def test_imports_find_their_modules(renamed: dict[str, Path], name: str) -> None:
    check_imports(renamed[name])


def test_code_stays_sorted_and_formatted(renamed: dict[str, Path]) -> None:
    check_style(next(iter(renamed.values())).parent)


def test_layout_has_the_new_names(renamed: dict[str, Path], base: Path) -> None:
    old = {path.name for path in (base / "app").iterdir()}
    for name, names in TRIED.items():
        new = {path.name for path in (renamed[name] / "app").iterdir()}
        packages = [package for layer in names.values() for package in layer.split("+")]
        assert new == old - {*LAYERS} | {*packages}, name
        for package in packages:
            assert (renamed[name] / "app" / package / "__init__.py").exists(), name


def test_names_are_in_one_table_of_pyproject(base: Path, renamed: dict[str, Path]) -> None:
    """`scripts` read them there."""

    def table(project: Path) -> list[str]:
        text = (project / "pyproject.toml").read_text("utf-8")
        return sorted(
            re.findall(
                r'^\w+ = "([\w+]+)"$',
                text.partition("[tool.layers]")[2].partition("\n[")[0],
                re.MULTILINE,
            )
        )

    assert table(base) == sorted(LAYERS)
    for name, names in TRIED.items():
        assert table(renamed[name]) == sorted(names.values()), name


def test_import_contract_has_the_new_names(base: Path, renamed: dict[str, Path]) -> None:
    def contracts(project: Path) -> list[dict[str, Any]]:
        text = (project / "pyproject.toml").read_text("utf-8")
        return cast(
            "list[dict[str, Any]]", tomllib.loads(text)["tool"]["importlinter"]["contracts"]
        )

    old = contracts(base)
    for name, names in TRIED.items():
        new = contracts(renamed[name])
        requests, _, responses = names["schemas"].partition("+")
        layers = [
            " | ".join(
                {**names, "schemas": responses or requests}.get(it, it) for it in line.split(" | ")
            )
            for line in old[0]["layers"]
        ]
        if responses:
            below = next(n for n, line in enumerate(old[0]["layers"]) if "schemas" in line)
            layers.insert(below + 1, requests)
        assert new[0]["layers"] == layers, name
        for before, after in zip(old[1:], new[1:], strict=True):
            for key in ("source_modules", "forbidden_modules"):
                expected = [
                    f"app.{package}" if module.startswith("app.") else module
                    for module in before[key]
                    for package in names.get(module[4:], module[4:]).split("+")
                ]
                assert after[key] == expected, name


names_of_layers = st.from_regex(r"[a-z][a-z0-9]{0,9}(_[a-z0-9]{1,9}){0,2}", fullmatch=True).filter(
    lambda name: not [*hook.layer_reasons(name)]
)


@st.composite
def random_names(draw: st.DrawFn) -> Names:
    names = draw(st.lists(names_of_layers, min_size=10, max_size=10, unique=True))
    random = dict(zip(LAYERS, names[:-1], strict=True))
    if draw(st.booleans()):
        random["schemas"] += f"+{names[-1]}"
    kept = draw(st.sets(st.sampled_from(LAYERS), max_size=7))
    return random | {layer: layer for layer in kept if layer not in names}


def test_any_valid_names_make_a_clean_service(base: Path, tmp_path: Path) -> None:
    @settings(max_examples=max(5, settings().max_examples // 100))
    @given(random_names())
    def check(names: Names) -> None:
        project = copy_renamed(base, tmp_path / f"{len([*tmp_path.iterdir()])}", names)
        check_imports(project)
        assert default_names(project, names) == []

    check()
    check_style(tmp_path)


@pytest.mark.nightly
def test_types_and_import_contract_hold_with_every_name(tmp_path: Path) -> None:
    """With the environment of one service, into which the renamed files are copied in turn."""
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)  # uv
        command = ["-m", "cookiecutter", "--no-input", str(ROOT), "--output-dir", str(tmp_path)]
        run(sys.executable, *command, "database=postgresql", "init_git=no", cwd=tmp_path)
    service = tmp_path / "my_service"
    kept = tmp_path / "kept"
    shutil.copytree(service, kept, ignore=shutil.ignore_patterns(".venv", "var", "__pycache__"))
    for name, names in TRIED.items():
        for folder in ("app", "tests"):
            shutil.rmtree(service / folder)
        copy = tmp_path / "copy"
        copy_renamed(kept, copy, names)
        shutil.copytree(copy, service, dirs_exist_ok=True)
        shutil.rmtree(copy)
        run(program(service, "mypy"), cwd=service)
        run(program(service, "lint-imports"), "--no-cache", cwd=service)
        run_all = ["-m", "not slow and not long"] if name in LOOK_DANGEROUS else ["--collect-only"]
        run(program(service, "pytest"), *run_all, cwd=service)
    remove_local_postgres(service)


# Rules


@pytest.mark.parametrize(
    ("old", "new"),
    {
        "from app.crud.user import get_user\n": "from app.dao.user import get_user\n",
        "import app.crud\n": "import app.dao\n",
        "from app import crud  # noqa: F401\n": "from app import dao  # noqa: F401\n",
        "from app.crud import user, crud\n": "from app.dao import user, crud\n",
        # Sorted again, with comments.
        "import app.db\nfrom app.core import a\n# why\nfrom app.crud import b  # c\n": (
            "import app.orm\nfrom app.core import a\n# why\nfrom app.dao import b  # c\n"
        ),
        "from app.crud import a\nfrom app.db import b\nfrom app.helpers import c\nfrom app.schemas import d\n": (
            "from app.dao import a\nfrom app.helpers import c\nfrom app.orm import b\nfrom app.schemas import d\n"
        ),
        # Module paths in strings, and paths of files.
        'patch("app.db.engine.X", "tests.crud.lists")\n': 'patch("app.orm.engine.X", "tests.dao.lists")\n',
        "# see app/crud/user.py and tests/db\n": "# see app/dao/user.py and tests/orm\n",
        'f"app.crud.{name}"\n': 'f"app.dao.{name}"\n',
        "import app.crud\n\nprint(app.crud.__path__)\n": "import app.dao\n\nprint(app.dao.__path__)\n",
        # Not layers.
        'url = "sqlite:///app.db"\n': 'url = "sqlite:///app.db"\n',
        "x = settings.db, db.crud, crud.db, request.app.db\n": "x = settings.db, db.crud, crud.db, request.app.db\n",
        "def f(app):\n    return app.db.x, 'é', app.crud.y\n": "def f(app):\n    return app.db.x, 'é', app.crud.y\n",
        "x = myapp.crud.a, 'my/app/crud', 'https://a/app/crud'\n": (
            "x = myapp.crud.a, 'my/app/crud', 'https://a/app/crud'\n"
        ),
        "'app.crudx.a', 'app/crud-x', 'app/db.json'\n": "'app.crudx.a', 'app/crud-x', 'app/db.json'\n",
        '"""Layers: api > services > crud | x > db.\n\nA crud > b."""\n': (
            '"""Layers: api > services > dao | x > orm.\n\nA crud > b."""\n'
        ),
    }.items(),
)
def test_python_is_renamed_by_syntax(old: str, new: str) -> None:
    assert Renaming({"crud": "dao", "db": "orm"}, None).python(old) == new


def test_long_import_is_wrapped() -> None:
    names = "ABCDEFGHIJ, ABCDEFGHIK, ABCDEFGHIL, ABCDEFGHIM, ABCDEFGHIN"
    statement = f"from app.db.user_session import {names}\n"
    wrapped = statement.replace("app.db", f"app.{LONG}").replace("import ", "import (\n    ")
    wrapped = wrapped.replace(", ", ",\n    ").replace("N\n", "N,\n)\n")
    assert Renaming({"db": LONG}, None).python(statement) == wrapped
    # The comma after the last name keeps them apart.
    assert Renaming({LONG: "db"}, None).python(wrapped) == wrapped.replace(LONG, "db")


@pytest.mark.parametrize(
    ("short", "long"),
    {
        f'    call("app.db.engine.X", {"y" * 44}(1))\n': (
            f'    call(\n        "app.{LONG}.engine.X", {"y" * 44}(1)\n    )\n'
        ),
        f'x = {{f"app.db.{{it}}" for it in {"y" * 50}}}\n': (
            f'x = {{\n    f"app.{LONG}.{{it}}" for it in {"y" * 50}\n}}\n'
        ),
        f'"""Text (of {"y" * 70} app.db.x)"""\n': f'"""Text (of {"y" * 70} app.{LONG}.x)"""\n',
        f'"""\nText (of {"y" * 70} app.db.x)\n"""\n': f'"""\nText (of {"y" * 70} app.{LONG}.x)\n"""\n',
        f"# Comment (of {'y' * 70} app.db.x)\n": f"# Comment (of {'y' * 70} app.{LONG}.x)\n",
    }.items(),
)
def test_long_call_is_wrapped_and_joined_again(short: str, long: str) -> None:
    assert Renaming({"db": LONG}, None).python(short) == long
    assert Renaming({LONG: "db"}, None).python(long) == short


def test_documents_are_renamed_by_syntax() -> None:
    text = """\
We like crud in `app/crud` ([user](../app/crud/user.py)), with `crud` and a db.

    app/crud/user.py       rows
      app/db               x

```mermaid
flowchart TD
    api --> crud["app/crud: crud of rows"]
    crud --> db
```

```diff title="app/crud/user.py"
-from app.crud.page import Page
 from app.db.session import X
+from app.db.other import Y

 x = crud
```
"""
    assert (
        Renaming({"crud": "queries", "db": "orm"}, None).markdown(text)
        == """\
We like crud in `app/queries` ([user](../app/queries/user.py)), with `crud` and a db.

    app/queries/user.py    rows
      app/orm              x

```mermaid
flowchart TD
    api --> queries["app/queries: crud of rows"]
    queries --> orm
```

```diff title="app/queries/user.py"
-from app.queries.page import Page
@@
 from app.orm.session import X
+from app.orm.other import Y
```
"""
    )


def test_sources_name_layers_only_where_they_can_be_renamed() -> None:
    """A local name such as `crud` would keep its old name, and read wrong."""
    for path in TEMPLATE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import) and path.name != RENAMING:
                for alias in node.names:
                    assert alias.asname not in LAYERS, f"{path.name}: import as {alias.asname}"


# Requests and responses


def test_schemas_are_split_into_requests_and_responses() -> None:
    texts = {
        Path("app/schemas/base.py"): "class RequestSchema: ...\n\n\nclass ResponseSchema: ...\n",
        Path("app/schemas/user.py"): '''\
"""Users."""

import re
from datetime import date

from app.schemas.base import RequestSchema, ResponseSchema

Sort = Literal["a"]
Item = TypeVar("Item")
Name = re.compile("x")


class UserCreate(RequestSchema):
    name: Name
    sort: Sort


# Comes out.
class UserRead(ResponseSchema):
    name: Name
    born: date
    item: Item


class UserReadAgain(UserRead): ...
''',
    }
    pair = Pair("requests+responses", texts)
    renaming = Renaming({"schemas": "requests+responses"}, pair)
    sources = pair.split(texts[Path("app/schemas/user.py")], "user")
    assert {package: renaming.python(text) for package, text in sources.items()} == {
        "requests": '''\
"""Users."""

import re

from app.requests.base import RequestSchema

Sort = Literal["a"]
Name = re.compile("x")


class UserCreate(RequestSchema):
    name: Name
    sort: Sort
''',
        "responses": '''\
"""Users."""

from datetime import date

from app.requests.user import Name
from app.responses.base import ResponseSchema

Item = TypeVar("Item")


# Comes out.
class UserRead(ResponseSchema):
    name: Name
    born: date
    item: Item


class UserReadAgain(UserRead): ...
''',
    }
    both = "from app.schemas.user import UserCreate, UserRead\n"
    assert renaming.python(both) == (
        "from app.requests.user import UserCreate\nfrom app.responses.user import UserRead\n"
    )


# Recipes


@pytest.mark.parametrize("name", [*VOCABULARIES[1:], "longest", "shortest"])
def test_recipes_and_removals_fit_the_renamed_code(renamed: dict[str, Path], name: str) -> None:
    """The places that they change are found. test_documents.py runs the results."""
    project = renamed[name]
    applied = 0
    for document in ("docs/recipes.md", "docs/trim.md"):
        for section in documents.read_sections(project / document, project):
            texts = files(project)
            for block in section.blocks:
                if block.language == "sh":
                    for path in re.findall(r"(?<= )(?:app|tests)/\S+\.py", block.text):
                        assert fnmatch.filter(texts, path), f"{block}: {path}"
                elif block.title and not block.reason:
                    old = texts.get(block.title, "")
                    new = documents.patch(old, block) if block.language == "diff" else block.text
                    if block.title.endswith(".py"):
                        ast.parse(new)
                    texts[block.title] = new
                    applied += 1
    assert applied > 40
