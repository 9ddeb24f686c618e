"""Pin the dependencies of the template and of the service that it generates.

The service is pinned by its own task `poe lock`, so an owner who runs it gets the same result. It
runs once for each database, because only PostgreSQL needs a server for development.

Without options, pins change only where a direct dependency has changed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cookiecutter.main import cookiecutter

from dev import PYTHON, REQUIREMENTS, ROOT, TEMPLATE, clean_environment

RUNTIME = "requirements.txt"
DEVELOPMENT = "requirements-dev.txt"
AUDIT = "requirements-audit.txt"
TELEMETRY = "requirements-telemetry.txt"
# The post-generation hook gives it the name above.
DEVELOPMENT_POSTGRESQL = "requirements-dev.postgresql.txt"

# Harmful releases are usually discovered within days. To take an urgent fix earlier, set
# UV_EXCLUDE_NEWER.
UPGRADE_AGE = timedelta(days=7)

# On these, every pin must have a wheel. Macs with Intel processors are missing, because
# argon2-cffi-bindings has no wheels for them any more.
PYTHON_VERSIONS = ["3.11", "3.12", "3.13", "3.14"]
PLATFORMS = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
]


def tool(*arguments: str, cwd: Path = ROOT) -> None:
    """Run a tool of the template's environment, and show its output only if it fails."""
    done = subprocess.run(
        [str(PYTHON), "-m", *arguments],
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}")


def render(database: str, folder: Path) -> Path:
    """Render the service with default answers, without running the hooks."""
    return Path(
        cookiecutter(
            str(ROOT),
            no_input=True,
            extra_context={"database": database, "telemetry": "yes"},
            default_config={"replay_dir": str(folder / "replay")},
            output_dir=str(folder / database),
            accept_hooks=False,
        )
    )


def lock_service(
    database: str, pins: dict[str, str], upgrade: list[str], folder: Path
) -> dict[str, str]:
    """Pin the service for one database, keeping the given pins where they fit."""
    project = render(database, folder)
    for name, text in pins.items():
        (project / name).write_text(text, encoding="utf-8")
    tool("poethepoet", "-C", str(project), "lock", *upgrade)
    names = (RUNTIME, DEVELOPMENT, AUDIT, TELEMETRY)
    return {name: (project / name).read_text(encoding="utf-8") for name in names}


def lock_template(folder: Path, upgrade: list[str]) -> str:
    output = folder / RUNTIME
    if REQUIREMENTS.exists():
        output.write_bytes(REQUIREMENTS.read_bytes())
    tool(
        *("uv", "pip", "compile", "requirements.in", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-annotate", "--custom-compile-command", "python3 dev.py lock"),
        *("--output-file", str(output), *upgrade),
    )
    return output.read_text(encoding="utf-8")


def check_wheels(requirements: list[Path], folder: Path) -> None:
    """Resolve the pins for every supported platform and Python, using only wheels."""
    files = [part for path in requirements for part in ("-r", str(path))]
    for platform in PLATFORMS:
        for version in PYTHON_VERSIONS:
            print(f"  {platform}, Python {version}", flush=True)
            tool(
                *("uv", "pip", "install", "--dry-run", "--target", str(folder / "none")),
                *("--python-platform", platform, "--python-version", version),
                *("--only-binary", ":all:", "--require-hashes", *files),
            )


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py lock", description=__doc__)
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="take new releases, except those of the last seven days",
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, and fail if a pin is out of date"
    )
    options = parser.parse_args()
    upgrade = ["--upgrade"] if options.upgrade else []
    if options.upgrade:
        newest = datetime.now(UTC) - UPGRADE_AGE
        # Every call of uv below reads this variable.
        os.environ.setdefault("UV_EXCLUDE_NEWER", f"{newest:%Y-%m-%d}")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("Pinning the service ...", flush=True)
        # PostgreSQL needs everything that SQLite needs, so SQLite gets the same pins.
        pins = {DEVELOPMENT: (TEMPLATE / DEVELOPMENT_POSTGRESQL).read_text(encoding="utf-8")}
        first = lock_service("postgresql", pins, upgrade, folder)
        second = lock_service("sqlite", first, [], folder)
        for lock in (RUNTIME, TELEMETRY):
            if first[lock] != second[lock]:
                raise SystemExit(f"{lock} differs between the databases")
        print("Pinning the template ...", flush=True)
        texts = {
            TEMPLATE / RUNTIME: first[RUNTIME],
            TEMPLATE / TELEMETRY: first[TELEMETRY],
            TEMPLATE / DEVELOPMENT: second[DEVELOPMENT],
            TEMPLATE / DEVELOPMENT_POSTGRESQL: first[DEVELOPMENT],
            TEMPLATE / AUDIT: first[AUDIT],
            REQUIREMENTS: lock_template(folder, upgrade),
        }
        print("Checking that there are wheels for every platform ...", flush=True)
        for locks in (
            [first[RUNTIME], first[DEVELOPMENT], first[TELEMETRY]],
            [first[AUDIT]],
            [texts[REQUIREMENTS]],
        ):
            paths = [folder / f"{number}.txt" for number in range(len(locks))]
            for path, text in zip(paths, locks, strict=True):
                path.write_text(text, encoding="utf-8")
            check_wheels(paths, folder)

    changed = [
        path
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in changed:
        print(
            f"{'out of date' if options.check else 'changed'}: {path.relative_to(ROOT).as_posix()}"
        )
        if not options.check:
            path.write_text(texts[path], encoding="utf-8", newline="\n")
    if not changed:
        print("All pins are up to date.")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
