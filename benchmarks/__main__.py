"""Measure this template, or a new service that it generates in a temporary folder."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from types import ModuleType

from benchmarks import generation, instructions, logins, middleware, pages, service
from benchmarks.generated import generated_service
from hooks.pre_gen_project import CHOICES

ALONE = {"generation": generation, "instructions": instructions, "service": service}
OF_A_SERVICE = {"logins": logins, "middleware": middleware, "pages": pages}


def run_with_service(benchmark: ModuleType, options: argparse.Namespace) -> int:
    with generated_service(options.database) as project:
        return int(benchmark.run(project))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dev.py benchmark", description=__doc__)
    names = parser.add_subparsers(title="benchmarks", metavar="NAME", required=True)
    for name, benchmark in {**ALONE, **OF_A_SERVICE}.items():
        text = benchmark.__doc__ or ""
        command = names.add_parser(name, help=text.partition("\n")[0], description=text)
        if name in OF_A_SERVICE:
            command.add_argument("--database", choices=CHOICES["database"], default="sqlite")
            command.set_defaults(run=partial(run_with_service, benchmark))
        else:
            ALONE[name].add_options(command)
            command.set_defaults(run=ALONE[name].run)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
