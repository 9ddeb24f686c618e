"""Make the pictures of the README: a generation, the names of layers, and /docs in a browser.

All are recorded from real generations. Needs Linux or macOS, and Chromium.
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

from rich.console import Console
from rich.text import Text

from dev import PYTHON, ROOT, clean_environment
from tools.running import browse, running

IMAGES = ROOT / "docs" / "images"
COLUMNS = 100
LINES = 200
PROMPT = "~/code$ "
# The name of the template's folder in the picture.
TEMPLATE_NAME = "service-template"
# The first answer. The others are the defaults.
PROJECT_NAME = "Book Shop"
# From the name of the project to the database.
QUESTIONS_BEFORE_LAYERS = 7


def record(command: list[str], cwd: Path, answers: list[str]) -> str:
    """Run a command in a terminal, answer its questions, and return everything it printed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    env = {**clean_environment(), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    # Ignore the user's own defaults for cookiecutter.
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
        except OSError:  # Linux: the command has closed its end
            break
        if not chunk:
            break
        received += chunk
        # A question ends with its default in brackets and a colon.
        if received.endswith(b": ") and len(received) > answered:
            answered = len(received)
            os.write(ours, f"{answers.pop(0) if answers else ''}\n".encode())
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"{command} failed:\n{received.decode()}")
    return received.decode()


def draw(text: str, path: Path, title: str) -> None:
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115 -- open until the program ends
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title=title, unique_id=path.stem)
    # Browsers don't load fonts from other sites for a picture.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
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
        # Show no path of this machine, and Python where it usually is.
        for shown, real in {"~/code": str(folder), "/usr": sys.base_prefix}.items():
            output = output.replace(real, shown)
        output = output.replace("\r\n", "\n")
        text = f"{PROMPT}{' '.join(command)}\n{output.rstrip()}\n{PROMPT}"
        draw(text, IMAGES / "generation.svg", "A new service")

        print("Choosing names of layers ...", flush=True)
        answers = [*[""] * QUESTIONS_BEFORE_LAYERS, "3", "", "", "", "n", "n"]
        output = record([str(PYTHON), "-m", *command], folder, answers)
        question = output[output.index("How should the folders of the layers") :]
        question = question.partition("How will you run it in production")[0].rpartition("\n")[0]
        listing = record(["ls", "-C", "my_service/app"], folder, [])
        text = f"{question}\n...\n{PROMPT}ls my_service/app\n{listing}{PROMPT}".replace(
            "\r\n", "\n"
        )
        draw(text, IMAGES / "layers.svg", "Names of layers")

        print("Taking a picture of /docs ...", flush=True)
        project = folder / "book_shop"
        with running(project, clean_environment(), 8000) as server:
            picture = IMAGES / "docs.png"
            browse("--window-size=1280,1000", f"--screenshot={picture}", f"{server.address}/docs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
