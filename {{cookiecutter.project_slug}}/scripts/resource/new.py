"""Writes a new resource."""

import argparse

from scripts.resource import edit
from scripts.resource.fields import Field, UsageError
from scripts.resource.project import Project, Resource, pluralize
from scripts.resource.render import render, render_line
from scripts.resource.workspace import Workspace

# Imports that conditions may need; ruff removes the rest.
OPERATORS = "Boolean, bindparam, or_, select, true"


def make_resource(
    project: Project, options: argparse.Namespace, fields: tuple[Field, ...]
) -> Resource:
    """Check the options against the project. Raises UsageError."""
    parent = project.find(options.parent, "--parent") if options.parent else None
    if parent and parent.parent:
        raise UsageError(f"--parent: {parent.name} is a part of {parent.parent.name} itself")
    if parent and (options.public_read or options.superuser):
        raise UsageError("--parent: the parent decides who may read and write")
    if parent and options.owner and not parent.public:
        raise UsageError(
            f"--owner: only the owner of {parent.a} sees it, who then owns everything in it"
        )
    if options.superuser and options.owner:
        raise UsageError("--superuser: the rows belong to nobody then, so leave out --owner")
    plural = options.plural or pluralize(options.name)
    path = f"/{plural.replace('_', '-')}"
    resource = Resource(
        name=options.name,
        plural=plural,
        table=plural,
        prefix=f"{parent.prefix}/{{{parent.name}_id}}{path}" if parent else path,
        owned=bool(options.owner) if parent else not options.superuser,
        public=parent.public if parent else options.public_read,
        superuser=parent.superuser and not options.owner if parent else options.superuser,
        parent=parent,
        fields=fields,
    )
    project.check_new(resource)
    resource.targets.update(find_targets(project, resource, fields))
    return resource


def find_targets(
    project: Project, resource: Resource, fields: tuple[Field, ...]
) -> dict[str, Resource]:
    """Find what the fields refer to. Raises UsageError."""
    names = [resource.scope, *(field.attribute for field in fields)]
    if len(names) != len(set(names)):
        raise UsageError(f"{resource.name}: two fields have the same name")
    targets = {}
    for field in fields:
        if field.type not in {"ref", "many"}:
            continue
        text = f"{field.name}:{field.type}:{field.argument}"
        is_self = field.argument == resource.name
        target = resource if is_self else project.find(field.argument, text)
        if is_self and field.is_required and field.type == "ref":
            raise UsageError(f"{text}: the first row could refer to nothing; add :optional")
        if (
            target.superuser
            and not target.public
            and not resource.superuser
            and target.name != "user"
        ):
            raise UsageError(f"{text}: only superusers may read {target.humans}")
        targets[field.name] = target
    return targets


def add_resource(workspace: Workspace, project: Project, r: Resource) -> None:
    for template, paths in project.files(r.name, r.plural).items():
        parts = [{"requests", "responses"}] if len(paths) == 1 else [{"requests"}, {"responses"}]
        for path, part in zip(paths, parts, strict=False):
            workspace.write(path, render(template, project, r, parts=part))
    add_shared_files(workspace, project, r)
    for field in r.uniques:
        add_error(workspace, project, r, field)
    add_dependencies(workspace, project, r)
    add_routes(workspace, project, r)
    tables = [r.table, *(r.link(field) for field in r.many)]
    workspace.run("scripts.resource.revision", f"add {r.humans}", *tables)


def add_shared_files(workspace: Workspace, project: Project, r: Resource) -> None:
    """Write the modules that resources share, where they are missing, and add what is readable."""
    needed = {
        "readable": (project.path("queries", "readable"), True),
        "references": (project.path("queries", "references"), bool(r.targets)),
        "ids": (project.path("queries", "ids"), bool(r.many)),
        "id_list": (project.path("responses", "id_list"), bool(r.many)),
    }
    for template, (path, is_needed) in needed.items():
        if is_needed and not path.exists():
            workspace.write(path, render(template, project, r))
    path = project.path("queries", "readable")
    for resource in [*r.targets.values(), r]:
        text = path.read_text("utf-8")
        name = f"READABLE_{resource.plural.upper()}"
        if f"{name} = " not in text:
            text = edit.add_import(text, f"from sqlalchemy import {OPERATORS}")
            for used in filter(None, [resource, resource.parent]):
                model = f"from app.{project.layers['tables']}.{used.name} import {used.model}"
                text = edit.add_import(text, model)
            workspace.write(path, f"{text}{name} = {readable(resource)}\n")


def readable(r: Resource) -> str:
    """Return the condition for the rows of a resource that a user may read."""
    if r.name == "user":
        return 'or_(User.id == bindparam("user_id"), bindparam("is_superuser", type_=Boolean()))'
    if r.public:
        return "true()"
    if r.parent:
        parent = r.parent
        ids = f"select({parent.model}.id).where(READABLE_{parent.plural.upper()})"
        return f"{r.model}.{parent.name}_id.in_({ids})"
    if r.superuser:
        return 'bindparam("is_superuser", type_=Boolean())'
    return f'{r.model}.user_id == bindparam("user_id")'


def add_error(workspace: Workspace, project: Project, r: Resource, field: Field) -> None:
    """Add the error for a value that is taken, and the constraint that means it."""
    exceptions = f"app.{project.layers['settings']}.exceptions"
    code = render_line("error", r, field)
    path = project.path("settings", "exceptions")
    workspace.edit(path, "at the end", code, lambda text: edit.append(text, code))
    entry = f'"{r.constraint(field)}": {r.error(field)}'
    statement = f"from {exceptions} import {r.error(field)}"
    workspace.edit(
        project.path("database", "errors"),
        "to the imports and to UNIQUE_ERRORS",
        f"{statement}\n{entry}",
        lambda text: edit.add_import(
            edit.add_to_collection(text, "UNIQUE_ERRORS", entry), statement
        ),
    )


def add_dependencies(workspace: Workspace, project: Project, r: Resource) -> None:
    code = render("dependencies", project, r).strip()
    functions, _, aliases = code.partition("\n\n\n\n")
    statement = (
        f"from app.{project.layers['logic']}.{r.name}_service "
        f"import {r.model}Reader, {r.model}Service"
    )

    def change(text: str) -> str:
        text = edit.add_before(
            f"{text.rstrip()}\n{aliases}\n", "AuthServiceDep", f"{functions}\n\n"
        )
        return edit.add_import(text, statement)

    path = project.path("injection", "services")
    workspace.edit(path, "to the imports and at the end", f"{statement}\n\n{code}", change)


def add_routes(workspace: Workspace, project: Project, r: Resource) -> None:
    routes = project.layers["routes"]
    statement = f"from app.{routes}.v1 import {r.name}"
    line = f"app.include_router({r.name}.router, prefix=PREFIX)"
    workspace.edit(
        project.path("routes", "v1/router"),
        "to the imports and to include_routers()",
        f"{statement}\n{line}",
        lambda text: edit.add_import(
            edit.add_to_function(text, "include_routers", line), statement
        ),
    )
    public = [f"list_{r.plural}", f"read_{r.name}"] if r.public else []
    signed_in = (
        [] if r.superuser else [f"{verb}_{r.name}" for verb in ("create", "update", "delete")]
    )
    if not r.public and not r.superuser:
        signed_in += [f"list_{r.plural}", f"read_{r.name}"]
    path = project.root / f"tests/{routes}/test_access.py"
    for list_name, names in (("PUBLIC", public), ("SIGNED_IN", signed_in)):
        entries = ",\n".join(f'"{name}"' for name in names)
        if entries:
            workspace.edit(
                path,
                f"to {list_name}",
                entries,
                lambda text, name=list_name, entries=entries: edit.add_to_collection(
                    text, name, entries
                ),  # type: ignore[misc]  # mypy doesn't infer lambdas with defaults
            )
    row = f"| GET, POST `/api/v1{r.prefix}`; GET, PATCH, DELETE `…/{{id}}` | {readers_and_writers(r)} | {r.humans} |\n"
    workspace.edit(
        project.root / "README.md",
        "to the table of endpoints",
        row,
        lambda text: add_row(text, row),
    )


def readers_and_writers(r: Resource) -> str:
    writer = "superuser" if r.superuser else "owner" if r.checks_writer else "user"
    return f"anyone reads, {writer} writes" if r.public else "superuser" if r.superuser else "user"


def add_row(text: str, row: str) -> str:
    """Add a row to the table of endpoints, before those of the process."""
    before, line, after = text.partition("| GET `/livez`")
    if not line:
        raise edit.NotFoundInSourceError
    return before + row + line + after
