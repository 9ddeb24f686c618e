"""Adds fields to a resource that exists."""

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from scripts.resource import edit
from scripts.resource.fields import Field, UsageError
from scripts.resource.new import add_error, add_shared_files, find_targets
from scripts.resource.project import Project, Resource
from scripts.resource.render import render, render_line
from scripts.resource.workspace import Workspace

FOREIGN_KEY = re.compile(r'ForeignKey\("(\w+)\.')


def extend_resource(
    project: Project, options: argparse.Namespace, fields: tuple[Field, ...]
) -> Resource:
    """Find the resource, which gets the new fields. Raises UsageError."""
    name = options.name
    if name == "user":
        raise UsageError("user: accounts have their own rules; see docs/recipes.md#add-a-migration")
    r = replace(project.find(name, name), fields=fields)
    r.targets.update(find_targets(project, r, fields))
    model = project.path("tables", name).read_text("utf-8")
    for field in fields:
        if field.type == "many":
            raise UsageError(f"{field.name}: make a resource that refers to both instead of a list")
        if field.is_required:
            raise UsageError(
                f"{field.name}: rows that exist need a value: add :optional or =DEFAULT"
            )
        if re.search(rf"^    {field.attribute}\b", model, re.MULTILINE):
            raise UsageError(f"{field.name}: {name} has a field {field.attribute} already")
    return r


def add_fields(workspace: Workspace, project: Project, r: Resource) -> None:
    """Add the fields to all layers."""
    if r.targets:
        add_shared_files(workspace, project, r)
    for field in r.fields:
        add_to_model(workspace, project, r, field)
        add_to_schemas(workspace, project, r, field)
        add_to_queries(workspace, project, r, field)
        add_to_tests(workspace, project, r, field)
        if field.unique:
            add_error(workspace, project, r, field)
    names = [f"{r.table}.{field.attribute}" for field in r.fields]
    words = " and ".join(field.name for field in r.fields)
    workspace.run("scripts.resource.revision", f"add {words} to {r.humans}", *names)


def imports_of(template: str, project: Project, r: Resource) -> str:
    """Return all imports of a template; ruff removes those that aren't needed."""
    lines = render(template, project, r, parts={"requests", "responses"}).splitlines()
    return "\n".join(line for line in lines if line.startswith("from "))


def add_to_model(workspace: Workspace, project: Project, r: Resource, field: Field) -> None:
    circular = [target.name for target in r.targets.values() if refers(project, target, r)]
    line = render_line("column", r, field, circular=circular, added=True)
    line = re.sub(r",\s*\)$", ")", line)
    entries = [render_line("unique", r, field)] * (field.unique and bool(r.scope))
    entries += [render_line("index", r, field.attribute)] * field.index

    def change(source: str) -> str:
        source = edit.add_to_class(source, r.model, line, before="updated_at")
        for entry in entries:
            source = edit.add_to_collection(source, "__table_args__", entry, in_class=r.model)
        return edit.add_import(
            source, f"{imports_of('model', project, r)}\nfrom sqlalchemy import text"
        )

    lines = "\n".join([line, *entries])
    workspace.edit(project.path("tables", r.name), f"to {r.model}", lines, change)


def refers(project: Project, source: Resource, target: Resource) -> bool:
    """Return whether a table refers to another one, maybe through others."""
    if source.table == target.table:
        return False
    paths = project.path("tables", "").parent.glob("*.py")
    texts = [path.read_text("utf-8") for path in paths]
    seen, new = set[str](), {source.table}
    while new:
        seen |= new
        tables = [text for text in texts if any(f'"{table}"' in text for table in new)]
        new = {name for text in tables for name in FOREIGN_KEY.findall(text)} - seen
    return target.table in seen


def add_to_schemas(workspace: Workspace, project: Project, r: Resource, field: Field) -> None:
    alias = f"{r.alias(field)} = {field.body}" if r.alias(field) != field.body else ""
    create, update, read, where = (
        render_line(macro, r, field) for macro in ("create", "update", "read", "filter")
    )
    imports = imports_of("schemas", project, r)
    sorts = [field.attribute, f"-{field.attribute}"] * field.index

    def change_requests(source: str) -> str:
        if alias:
            # Before its class, which comes first.
            source = edit.add_before_class(source, f"{r.model}Create", alias)
        source = edit.add_to_class(source, f"{r.model}Create", create)
        source = edit.add_to_class(source, f"{r.model}Update", update)
        if field.is_filter:
            source = edit.add_to_class(source, f"{r.model}ListParams", where, before="sort")
        if sorts:
            source = edit.add_to_literal(source, f"{r.model}ListParams", "sort", sorts)
        return edit.add_import(source, imports)

    def change_responses(source: str) -> str:
        source = edit.add_to_class(source, f"{r.model}Read", read, before="created_at")
        return edit.add_import(source, imports)

    lines = "\n".join(filter(None, [alias, create, update, where * field.is_filter]))
    where_to = f"to {r.model}Create, {r.model}Update and {r.model}ListParams"
    workspace.edit(project.path("requests", r.name), where_to, lines, change_requests)
    workspace.edit(project.path("responses", r.name), f"to {r.model}Read", read, change_responses)


def add_to_queries(workspace: Workspace, project: Project, r: Resource, field: Field) -> None:
    path = project.path("queries", r.name)
    function = f"list_{r.plural}"
    if field.is_filter:
        where = render_line("where", r, field)
        add = partial(
            edit.add_to_function, name=function, line=where, before="return await fetch_page"
        )
        workspace.edit(path, f"to {function}()", where, add)
    if field.index:
        entry = f'"{field.attribute}": {r.model}.{field.attribute}'
        add = partial(edit.add_to_collection, name="_SORT_COLUMNS", entry=entry)
        workspace.edit(path, "to _SORT_COLUMNS", entry, add)
    if field.type == "ref":
        add_reference(workspace, project, r, field)


def add_reference(workspace: Workspace, project: Project, r: Resource, field: Field) -> None:
    """Let the service check the reference."""
    path = project.path("queries", r.name)
    entry = render_line("reference", r, field)
    imports = imports_of("queries", project, r)
    if "\nREFERENCES: " in path.read_text("utf-8"):
        change: Callable[[str], str] = partial(
            edit.add_to_collection, name="REFERENCES", entry=entry
        )
        workspace.edit(
            path, "to REFERENCES", entry, lambda text: edit.add_import(change(text), imports)
        )
        return
    constant = f"# The rows that {r.a} may refer to.\nREFERENCES: References = {{{entry}}}"
    workspace.edit(
        path,
        "before the statements",
        constant,
        lambda text: edit.add_import(
            edit.add_before(text, f"_{r.plural.upper()}", constant), imports
        ),
    )
    check = "await check_references(self._session, REFERENCES, values, user)"

    def change_service(source: str) -> str:
        for function, before in (
            ("create", f"{r.name} = {r.model}("),
            ("update", "for name, value"),
        ):
            source = edit.add_to_function(source, function, check, before=before)
            source = edit.add_argument(source, function, "user", "UserRead")
        return edit.add_import(source, imports_of("service", project, r))

    def change_routes(source: str) -> str:
        for method in ("create", "update"):
            source = edit.add_argument(source, f"{method}_{r.name}", "user", "CurrentSuperuser")
            source = edit.pass_argument(source, f"{method}_{r.name}", method, "user")
        return source

    where = "to create() and update()"
    workspace.edit(project.path("logic", f"{r.name}_service"), where, check, change_service)
    user = "user: CurrentSuperuser, and pass it to the service"
    workspace.edit(project.path("routes", f"v1/{r.name}"), where, user, change_routes)


def add_to_tests(workspace: Workspace, project: Project, r: Resource, field: Field) -> None:
    path = project.root / f"tests/{project.layers['routes']}/test_{r.plural}.py"
    has_body = path.exists() and "async def body(" in path.read_text("utf-8")
    code = render("field_tests", project, r, field=field, body="body" if has_body else "BODY")
    values = {"BODY": field.samples[0], "CHANGE": field.samples[1], "INVALID": field.kind.wrong}
    if field.type == "ref":
        values = {"INVALID": field.kind.wrong}
    imports, _, tests = code.partition("# ---\n")

    def change(source: str) -> str:
        for name, value in values.items():
            source = edit.add_to_collection(source, name, f'"{field.attribute}": {value!r}')
        return edit.add_import(edit.append(source, tests.strip("\n")), imports)

    workspace.edit(path, "at the end", tests, change)
