"""Resources: the new one, and those that the project has, as its own source shows them."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from scripts.resource.fields import Field, UsageError, check_name


def camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def pluralize(name: str) -> str:
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "z", "ch", "sh")) else f"{name}s"


@dataclass(frozen=True)
class Resource:
    """A resource, and who may read and write it."""

    name: str
    plural: str
    table: str
    prefix: str
    owned: bool
    """Whether each row belongs to a user, who may change it."""
    public: bool
    """Whether anybody may read it without signing in."""
    superuser: bool
    """Whether only superusers may write it."""
    parent: "Resource | None" = None
    fields: tuple[Field, ...] = ()
    targets: dict[str, "Resource"] = field(default_factory=dict)
    """The resources that fields refer to, by the names of fields."""

    @property
    def model(self) -> str:
        return camel(self.name)

    @property
    def human(self) -> str:
        return self.name.replace("_", " ")

    @property
    def humans(self) -> str:
        return self.plural.replace("_", " ")

    @property
    def a(self) -> str:
        return f"an {self.human}" if self.name[0] in "aeio" else f"a {self.human}"

    @property
    def scope(self) -> str:
        """The column that limits what a list shows."""
        if self.parent:
            return f"{self.parent.name}_id"
        return "user_id" if self.owned and not self.public else ""

    @property
    def reads_by_user(self) -> bool:
        """Whether it depends on the user which rows there are."""
        if self.parent:
            return self.parent.reads_by_user
        return self.owned and not self.public

    @property
    def checks_writer(self) -> bool:
        """Whether it depends on the user which rows can be changed."""
        return self.owned or bool(self.parent and self.parent.owned)

    def of(self, *types: str) -> list[Field]:
        return [field for field in self.fields if field.type in types]

    @property
    def refs(self) -> list[Field]:
        return self.of("ref")

    @property
    def many(self) -> list[Field]:
        return self.of("many")

    @property
    def columns(self) -> list[Field]:
        return [field for field in self.fields if field.type != "many"]

    @property
    def sorts(self) -> list[str]:
        return ["created_at", *(field.attribute for field in self.fields if field.index)]

    @property
    def filters(self) -> list[Field]:
        return [field for field in self.fields if field.is_filter]

    @property
    def uniques(self) -> list[Field]:
        return [field for field in self.fields if field.unique]

    def constraint(self, field: Field) -> str:
        """Name the unique constraint of a field."""
        scope = f"{self.scope}_" if self.scope else ""
        return f"uq_{self.table}_{scope}{field.attribute}"

    def error(self, field: Field) -> str:
        """Name the error for a value that is taken."""
        return f"{self.model}{camel(field.name)}TakenError"

    def alias(self, field: Field) -> str:
        """Return the type of the field in requests."""
        is_long = field.body.startswith(("Annotated", "Literal"))
        return f"{self.model}{camel(field.attribute)}" if is_long else field.body

    def link(self, field: Field) -> str:
        """Name the table between this one and the one that *field* refers to."""
        return f"{self.name}_{field.name}"

    def link_column(self, field: Field) -> str:
        target = self.targets[field.name]
        return f"{'other_' if target.name == self.name else ''}{target.name}_id"


class Project:
    """The service, in its own folder or in a copy of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def layers(self) -> dict[str, str]:
        """The packages of the layers, by what they are for."""
        settings = tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))
        layers: dict[str, str] = settings["tool"]["layers"]
        requests, _, responses = layers["bodies"].partition("+")
        return {**layers, "requests": requests, "responses": responses or requests}

    def path(self, layer: str, name: str) -> Path:
        return self.root / "app" / self.layers[layer] / f"{name}.py"

    def files(self, resource: str, plural: str) -> dict[str, list[Path]]:
        """Return the files of a resource by their templates."""
        schemas = [self.path("requests", resource), self.path("responses", resource)]
        return {
            "model": [self.path("tables", resource)],
            "schemas": schemas[:1] if schemas[0] == schemas[1] else schemas,
            "queries": [self.path("queries", resource)],
            "service": [self.path("logic", f"{resource}_service")],
            "routes": [self.path("routes", f"v1/{resource}")],
            "factory": [self.root / f"tests/factories/{resource}.py"],
            "tests": [self.root / f"tests/{self.layers['routes']}/test_{plural}.py"],
        }

    def tables(self) -> Iterator[str]:
        for path in self.path("tables", "").parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__tablename__":
                    yield str(ast.literal_eval(node.value))

    def check_new(self, resource: Resource) -> None:
        """Raise UsageError if the project has something with a name of the new resource."""
        check_name(resource.name, resource.name)
        check_name(resource.plural, resource.plural)
        if resource.plural == resource.name:
            raise UsageError(f"{resource.name}: the plural is the same; give one with --plural")
        files = [
            path for paths in self.files(resource.name, resource.plural).values() for path in paths
        ]
        for path in files:
            if path.exists():
                raise UsageError(f"{path.relative_to(self.root).as_posix()} exists already")
        if resource.table in self.tables():
            raise UsageError(f"there is a table {resource.table} already")
        taken = _names_in_templates()
        for name in (resource.model, *(f"{resource.model}{end}" for end in ("Read", "Create"))):
            if name in taken:
                raise UsageError(f"{resource.name}: the generated code needs the name {name}")

    def find(self, name: str, text: str) -> Resource:
        """Find an existing resource by its model and routes. Raises UsageError."""
        model = self.path("tables", name)
        routes = self.path("routes", f"v1/{name}")
        if not model.exists() or not routes.exists():
            raise UsageError(f"{text}: there is no resource {name!r}; make it first")
        table, has_owner = _read_model(model, camel(name))
        functions, prefix = _read_routes(routes)
        lists = [function for function in functions if function.startswith("list_")]
        read = functions.get(f"read_{name}")
        write = functions.get(f"create_{name}")
        if not table or not prefix or read is None or write is None or not lists:
            raise UsageError(
                f"{text}: {name!r} has other names than a generated resource; it needs a class "
                f"{camel(name)} with a __tablename__, a router with a prefix, and routes "
                f"read_{name}, create_{name} and a list"
            )
        parent, _, _ = prefix.rpartition("_id}")
        parent = parent.rpartition("{")[2]
        return Resource(
            name=name,
            plural=lists[0].removeprefix("list_"),
            table=table,
            prefix=prefix,
            owned=has_owner,
            public=not read & {"CurrentUser", "CurrentSuperuser", "OptionalUser"},
            superuser="CurrentSuperuser" in write,
            parent=self.find(parent, text) if parent else None,
        )


def _read_model(path: Path, model: str) -> tuple[str, bool]:
    """Return the name of the table, and whether it has a column `user_id`."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == model:
            names = {
                ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)
            }
            tables = [
                ast.literal_eval(item.value)
                for item in node.body
                if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "__tablename__"
            ]
            return "".join(tables), "user_id" in names
    return "", False


def _read_routes(path: Path) -> tuple[dict[str, set[str]], str]:
    """Return the functions with the types of their arguments, and the prefix of the router."""
    functions: dict[str, set[str]] = {}
    prefix = ""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.AsyncFunctionDef):
            arguments = (argument.annotation for argument in node.args.args)
            functions[node.name] = {ast.unparse(argument) for argument in arguments if argument}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            keywords = {keyword.arg: keyword.value for keyword in node.value.keywords}
            if "prefix" in keywords and not prefix:
                prefix = str(ast.literal_eval(keywords["prefix"]))
    return functions, prefix


def _names_in_templates() -> set[str]:
    """List the names that the templates import, which a model would hide."""
    names: set[str] = set()
    for path in (Path(__file__).parent / "templates").glob("*.jinja"):
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("from "):
                names |= {name.strip() for name in line.partition(" import ")[2].split(",")}
    return names
