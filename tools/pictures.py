"""Make the pictures of the README: a generation in a terminal, and /docs in a browser.

Both show the real thing. Needs Linux or macOS, and Chromium.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from dev import PYTHON, ROOT, clean_environment
from tools.running import browse, running

IMAGES = ROOT / "docs" / "images"
COLUMNS = 100
LINES = 200
PROMPT = "~/code$ "
# Where the picture's terminal is; the template is there under this name.
TEMPLATE_NAME = "service-template"
# What is typed; the rest is answered with Enter.
PROJECT_NAME = "Book Shop"


def record(command: list[str], cwd: Path, answers: list[str]) -> str:
    """Run a command in a terminal, answer its questions; give all that the terminal received."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    env = {**clean_environment(), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    # The user's own defaults of cookiecutter are not part of the picture.
    env["COOKIECUTTER_CONFIG"] = os.devnull
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    received = b""
    answered = 0
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: the other end was closed
            break
        if not chunk:
            break
        received += chunk
        # A question ends with its default answer in brackets.
        if received.endswith(b": ") and len(received) > answered:
            answered = len(received)
            os.write(ours, f"{answers.pop(0) if answers else ''}\n".encode())
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"{command} failed:\n{received.decode()}")
    return received.decode()


def draw(text: str, path: Path) -> None:
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(Text.from_ansi(text))
    # Without the fonts that the format loads from elsewhere: viewers refuse them in pictures.
    svg_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="A new service", code_format=svg_format, unique_id="generation")
    path.write_text(
        re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).strip() + "\n", encoding="utf-8"
    )


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "code"
        folder.mkdir()
        (folder / TEMPLATE_NAME).symlink_to(ROOT)
        print("Generating a service ...", flush=True)
        command = ["cookiecutter", TEMPLATE_NAME]
        output = record([str(PYTHON), "-m", *command], folder, [PROJECT_NAME])
        # No path of this machine: its Python is shown where most have theirs.
        for shown, real in {"~/code": str(folder), "/usr": sys.base_prefix}.items():
            output = output.replace(real, shown)
        output = output.replace("\r\n", "\n")
        draw(f"{PROMPT}{' '.join(command)}\n{output.rstrip()}\n{PROMPT}", IMAGES / "generation.svg")

        print("Looking at its documentation ...", flush=True)
        project = folder / "book_shop"
        with running(project, clean_environment(), 8000) as address:
            picture = IMAGES / "docs.png"
            browse("--window-size=1280,1000", f"--screenshot={picture}", f"{address}/docs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
