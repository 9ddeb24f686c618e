"""The commands `poe resource` and `poe field`."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.resource.add import add_fields, extend_resource
from scripts.resource.fields import KINDS, UsageError, parse_field
from scripts.resource.new import add_resource, make_resource
from scripts.resource.project import Project
from scripts.resource.workspace import Workspace, check_clean_checkout

ROOT = Path(__file__).resolve().parents[2]
TYPES = " ".join(
    f"{name}:{kind.argument}" if kind.argument else name for name, kind in KINDS.items()
)
EPILOG = f"""A field is NAME:TYPE[:ARGUMENT][:optional][:unique][:index][=DEFAULT], such as
number:str:40:unique or status:enum:draft/paid=draft. Lists can be sorted by fields with `index`.
Types: {TYPES}"""


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("resource", "Write a new resource"), ("field", "Add fields to a resource")):
        command = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        command.add_argument("name", help="in the singular, such as order_item")
        command.add_argument("fields", nargs="+", metavar="field")
        command.add_argument("--dry-run", action="store_true", help="print the changes only")
        command.add_argument("--migrate", action="store_true", help="run the migration, too")
        if name == "resource":
            command.add_argument("--plural", help="where adding an s is wrong")
            command.add_argument("--parent", help="the resource that each row is a part of")
            command.add_argument("--owner", choices=["user"], help="each row belongs to a user")
            command.add_argument("--public-read", action="store_true", help="anybody may read")
            command.add_argument("--superuser", action="store_true", help="superusers write")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = read_arguments(arguments)
    try:
        if not options.dry_run:
            check_clean_checkout(ROOT)
        fields = tuple(parse_field(text) for text in options.fields)
        make = make_resource if options.command == "resource" else extend_resource
        resource = make(Project(ROOT), options, fields)
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace.of(ROOT, Path(folder))
            add = add_resource if options.command == "resource" else add_fields
            add(workspace, Project(workspace.root), resource)
            workspace.clean()
            if options.dry_run:
                print(workspace.diff(), end="")
                return 0
            for path in workspace.apply():
                print(path.relative_to(ROOT).as_posix())
    except UsageError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    for notice in workspace.notices:
        print(f"\n{notice}")
    if options.migrate:
        return subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"], cwd=ROOT, check=False
        ).returncode
    print("Read the migration, then run `poe migrate` and `poe check`.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
