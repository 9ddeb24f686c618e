"""Renders the templates."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.resource.fields import Field
from scripts.resource.project import Project, Resource

# Not HTML: the templates make Python.
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 -- see above
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters["python"] = repr


def render(template: str, project: Project, resource: Resource, **values: Any) -> str:
    context = {
        "r": resource,
        "added": False,
        "circular": (),
        "layers": project.layers,
        **_errors(resource),
        **values,
    }
    return TEMPLATES.get_template(f"{template}.jinja").render(context)


def render_line(macro: str, resource: Resource, *arguments: Field | str, **values: Any) -> str:
    """Render one of the macros in fields.jinja."""
    module = TEMPLATES.get_template("fields.jinja").make_module(values)
    line: str = getattr(module, macro)(resource, *arguments)
    return line


def _errors(r: Resource) -> dict[str, Any]:
    """Return the errors of each route, and the words for whose rows they are."""
    uniques = [r.error(field) for field in r.uniques]
    owner = ["ForbiddenError"] if r.superuser or (r.checks_writer and r.public) else []
    hidden = ["ForbiddenError"] if r.superuser and not r.public else []
    parent = ["NotFoundError"] if r.parent else []
    create = (owner if not r.owned or r.superuser else []) + parent + uniques
    update = [*owner, "NotFoundError", *uniques]
    invalid = ["InvalidInputError"] if r.targets else []
    is_own = r.reads_by_user and not r.parent
    user = f"{'_' if r.superuser else 'user'}: {'CurrentSuperuser' if r.superuser else 'CurrentUser'}, "
    if not r.superuser and not r.reads_by_user:
        user = "_: CurrentUser, "
    return {
        "create_errors": create,
        "list_errors": hidden + parent,
        "read_errors": [*hidden, "NotFoundError"],
        "update_errors": update,
        "delete_errors": [*owner, "NotFoundError", "InUseError"],
        "raises_on_create": _raises(_without(create, r) + invalid) or f"Create {r.a}.",
        "raises_on_update": _raises(_without(update, r) + invalid),
        "forbidden": bool(_without(owner, r)),
        "your": "your " if is_own else "",
        "one_of": f"one of your {r.humans}" if is_own else r.a,
        "reader_arg": "" if r.public else user,
    }


def _without(errors: list[str], r: Resource) -> list[str]:
    """Leave out what the dependencies of a route raise before the service."""
    return [error for error in errors if not (r.superuser and error == "ForbiddenError")]


def _raises(errors: list[str]) -> str:
    return f"Raises {', '.join(errors)}." if errors else ""
