"""Look the locked packages up in PyPI's list of known vulnerabilities: `poe audit`.

To ignore a vulnerability for some time, say why and until when in pyproject.toml:

    [[tool.audit.ignore]]
    id = "PYSEC-2026-17"
    reason = "in the XML parser, which nothing here calls"
    until = 2026-12-31
"""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--require-hashes"),
    *("--progress-spinner=off", "-r", "requirements.txt", "-r", "requirements-dev.txt"),
]


def find_problems(ignored: Sequence[dict[str, Any]], today: date) -> list[str]:
    """List the entries that say no reason or no date, or whose date has passed."""
    problems = []
    for entry in ignored:
        name, reason, until = (entry.get(key) for key in ("id", "reason", "until"))
        if not (isinstance(name, str) and name and isinstance(reason, str) and reason.strip()):
            problems.append(f"{name or entry}: needs an id and a reason")
        elif type(until) is not date:
            problems.append(f"{name}: needs a last day, such as until = 2026-12-31")
        elif until < today:
            problems.append(f"{name}: was ignored until {until}. Look again whether there is a fix")
    return problems


def main() -> int:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    ignored = settings.get("audit", {}).get("ignore", [])
    problems = find_problems(ignored, datetime.now(UTC).date())
    if problems:
        print("In [[tool.audit.ignore]] of pyproject.toml:", *problems, sep="\n  ")
        return 1
    options = [f"--ignore-vuln={entry['id']}" for entry in ignored]
    return subprocess.run([*COMMAND, *options], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
