"""Set up this checkout: .env, .venv with the packages, the database, and a proof that it runs.

Run it in a fresh clone, after requirements have changed, or when it stopped half-way: what is
there already is kept. Only the standard library is used, and the syntax is that of Python 3.8,
so that an old interpreter is told what is missing instead of failing on a line it can't read.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
# Python does so by itself, unless PYTHONSAFEPATH is set.
sys.path.insert(0, str(ROOT / "scripts"))

from checkout import (  # noqa: E402 - see above
    CAUSES,
    WINDOWS,
    Checkout,
    Failed,
    Skipped,
    explain,
    quote,
    replace_privately,
)
from first_commit import commit  # noqa: E402

OLDEST_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
# The empty settings of example.env that get a random value, of so many bytes.
GENERATED = {"SECRET_KEY": 48, "FIRST_SUPERUSER_PASSWORD": 18}
SECONDS_TO_START = 30
NOT_FOUND = "the package registry does not have a locked package"
REGISTRY_CAUSES = {
    r"\b5\d\d (server error|internal|bad gateway|service|gateway)|error[ (:]+5\d\d\b|5\d\d error": (
        "the package registry answers with an error"
    ),
    r"error sending request|failed to (fetch|establish)|connection (refused|reset|broken|error)"
    r"|name resolution|getaddrinfo|dns error|(?<![\w-])timed? ?out|unreachable|max retries": (
        "the package registry can't be reached"
    ),
    r"no matching distribution|not found in the package registry|there is no version of": (
        NOT_FOUND
    ),
}


def say(text: str = "", end: str = "\n") -> None:
    try:
        print(text, end=end, flush=True)
    except OSError:
        # Nobody reads any more (`| head`); that is no reason to stop half-way.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end


# The steps. Each returns a remark, or an empty text.


def write_env(checkout: Checkout) -> str:
    if checkout.env_file.exists():
        return "kept: it is there already"
    content = (checkout.root / "example.env").read_bytes()
    for name, size in GENERATED.items():
        line = rf"(?m)^({name}=)[ \t]*(?=\r?$)".encode()
        value = secrets.token_urlsafe(size).encode()
        content, count = re.subn(line, rb"\g<1>" + value, content)
        if count != 1:
            raise Failed(f"example.env has no line {name}= without a value")
    # The draft is made in var/, which git ignores as a whole.
    checkout.var.mkdir(exist_ok=True)
    replace_privately(checkout.env_file, checkout.var / "env.draft", content)
    return ""


def make_venv(checkout: Checkout) -> str:
    if sys.version_info[:2] < OLDEST_PYTHON:
        needed, present = (".".join(map(str, v)) for v in (OLDEST_PYTHON, sys.version_info[:3]))
        raise Failed(f"it needs Python {needed} or newer, and this is {present}")
    refuse_path(checkout)
    if checkout.venv.is_symlink() or checkout.venv.is_file():
        raise Failed(f"{checkout.venv} is not a folder; move it away")
    if checkout.venv.is_dir():
        contents = {path.name for path in checkout.venv.iterdir()}
        if is_healthy(checkout):
            return "kept: it is there already"
        if contents and not contents & {"pyvenv.cfg", unfinished(checkout).name}:
            raise Failed(f"{checkout.venv} is not a virtual environment; move it away")
        checkout.discard(checkout.venv)
    checkout.venv.mkdir()
    unfinished(checkout).touch()
    python = base_python()
    if checkout.uv:
        # uv looks for a workspace from where it runs upwards: there is none above the root.
        options = ["--allow-existing", "--python", python]
        checkout.run(checkout.uv, "venv", *options, checkout.venv, cwd=Path(checkout.root.anchor))
    else:
        # In two commands, since `venv` hides what `ensurepip` says.
        checkout.run(python, "-m", "venv", "--without-pip", checkout.venv)
        install_pip(checkout)
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, {python}"


def refuse_path(checkout: Checkout) -> None:
    """Say so before a tool fails: it would not name the path's letter that it can't deal with."""
    path = os.fsencode(checkout.root)
    try:
        path.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = "its path has bytes that are no UTF-8; move the folder to another place"
        raise Failed(reason) from error
    # Neither in the first line of a program nor in PATH; uv knows ways round.
    unusable = re.search(r";" if WINDOWS else r'[:"$`\\\n]', str(checkout.root))
    if unusable and not checkout.uv:
        raise Failed(
            f"programs that pip installs can't start from a folder with {unusable[0]!a} in its "
            "path; install uv, or move the folder to another place"
        )


def install_pip(checkout: Checkout) -> None:
    checkout.run(checkout.python, "-m", "ensurepip", "--default-pip")


def unfinished(checkout: Checkout) -> Path:
    """Name the file that is in .venv from its beginning until its packages are complete."""
    return checkout.venv / "unfinished-setup"


def security_stamp(checkout: Checkout) -> Path:
    """Name the file that tells which packages .venv has, and where it was made."""
    return checkout.venv / "finished-setup"


def stamp_content(checkout: Checkout) -> bytes:
    digest = hashlib.sha256()
    for name in REQUIREMENTS:
        digest.update(hashlib.sha256((checkout.root / name).read_bytes()).digest())
    return f"{digest.hexdigest()}\n".encode() + os.fsencode(checkout.venv) + b"\n"


def is_healthy(checkout: Checkout) -> bool:
    """Tell whether .venv is complete, works, and is where it was made (a moved one is broken)."""
    if unfinished(checkout).exists() or not checkout.python.exists():
        return False
    if security_stamp(checkout).exists():
        made_in = security_stamp(checkout).read_bytes().partition(b"\n")[2]
        if made_in != os.fsencode(checkout.venv) + b"\n":
            return False
    code = (
        f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON} or sys.prefix == sys.base_prefix)"
    )
    try:
        checkout.run(checkout.python, "-I", "-c", code)
    except (Failed, OSError):
        return False
    return True


def base_python() -> str:
    """Find the interpreter behind a virtual environment, such as that of a tool that runs this."""
    # Python's own `venv` uses this attribute; the documented ones don't name the program.
    base = getattr(sys, "_base_executable", None) or sys.executable
    return base if Path(base).exists() else sys.executable


def install_packages(checkout: Checkout) -> str:
    wanted = stamp_content(checkout)
    if security_stamp(checkout).exists() and security_stamp(checkout).read_bytes() == wanted:
        return "kept: nothing has changed"
    unfinished(checkout).touch()
    causes = {**CAUSES, **REGISTRY_CAUSES}
    files: list[object] = [word for name in REQUIREMENTS for word in ("-r", checkout.root / name)]
    if checkout.uv:
        install: list[object] = [
            checkout.uv,
            "pip",
            "install",
            "--python",
            checkout.python,
            "--no-progress",
        ]
        # As above: nothing of a surrounding workspace.
        cwd = Path(checkout.root.anchor)
    else:
        if not any(checkout.venv.glob("[Ll]ib/**/site-packages/pip")):
            install_pip(checkout)  # uv makes .venv without it
        install = [checkout.python, "-m", "pip", "install", "--no-input", "--progress-bar=off"]
        install += ["--disable-pip-version-check", "--no-warn-script-location"]
        # The list is complete. For `coverage[toml]`, an old pip takes the newest release, not
        # the one that is pinned without the extra, and then misses the pin of that.
        install += ["--no-deps"]
        cwd = checkout.root
    install += ["--require-hashes", *files]
    try:
        checkout.run(*install, cwd=cwd, causes=causes)
    except Failed as failure:
        if checkout.uv or NOT_FOUND not in str(failure):
            raise
        # Only when it is very verbose, pip says why it has found nothing.
        checkout.run(*install, "-vv", "--retries=0", cwd=cwd, causes=causes)
    replace_privately(security_stamp(checkout), checkout.venv / "security_stamp.draft", wanted)
    unfinished(checkout).unlink()
    return ""


def migrate(checkout: Checkout) -> str:
    # What is imported for the first time is compiled, which takes longer than the migration.
    # Another process does that meanwhile for the service, from the other end.
    with checkout.started(checkout.python, "-c", "import uvicorn, app.main") as compiling:
        checkout.run(checkout.python, "-m", "alembic", "upgrade", "head")
        compiling.process.wait()
    return ""


def create_superuser(checkout: Checkout) -> str:
    checkout.run(checkout.python, "-m", "app.db.init_db")
    return ""


def prove(checkout: Checkout) -> str:
    """Start the service once, as its users will, and ask it whether it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = [checkout.python, "-m", "uvicorn", "app.main:app", "--port", port]
    deadline = time.monotonic() + SECONDS_TO_START
    answer = "no answer"
    # No proxy has to notice first that it stops.
    environment = {"SHUTDOWN_DELAY": "0"}
    with checkout.started(*server, "--host", "127.0.0.1", environment=environment) as child:
        while answer != "200":
            if child.process.poll() is not None:
                raise Failed(f"the service stopped: {explain(checkout.redact(child.output()))}")
            if time.monotonic() > deadline:
                last = explain(checkout.redact(child.output()))
                raise Failed(f"GET /readyz: {answer} after {SECONDS_TO_START} s; {last}")
            time.sleep(0.02)
            answer = get_readyz(port) or answer
    return "GET /readyz answers 200"


def get_readyz(port: int) -> str:
    import http.client  # noqa: PLC0415 - slow to import, and seldom needed

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


class Step(NamedTuple):
    name: str
    title: str
    action: Callable[[Checkout], str]


STEPS = (
    Step("env", "Writing .env", write_env),
    Step("venv", "Creating .venv with {installer}", make_venv),
    Step("install", "Installing packages with {installer}", install_packages),
    Step("migrate", "Migrating the database", migrate),
    Step("superuser", "Creating the first superuser", create_superuser),
    Step("prove", "Starting the service once", prove),
    Step("git", "Making the first commit", commit),
)


class Outcome(NamedTuple):
    step: Step
    state: str  # "done", "skipped", "failed", "interrupted" or "not reached"
    remark: str = ""


def run_steps(checkout: Checkout, steps: Sequence[Step]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for number, step in enumerate(steps, 1):
        states = {outcome.state for outcome in outcomes}
        # Each step needs those before it; only the commit can do without.
        if "interrupted" in states or ("failed" in states and step.name != "git"):
            outcomes.append(Outcome(step, "not reached"))
            continue
        began = time.monotonic()
        title = step.title.format(installer=checkout.installer)
        checkout.log(f"[{number}/{len(steps)}] {title}\n")
        say(f"[{number}/{len(steps)}] {title} ... ", end="")
        try:
            remark = step.action(checkout)
            outcome = Outcome(step, "done", remark)
            say(f"{time.monotonic() - began:.1f} s" + (f" ({remark})" if remark else ""))
        except Skipped as skipped:
            outcome = Outcome(step, "skipped", str(skipped))
            say("skipped")
        except (Failed, OSError) as error:
            remark = str(error) if isinstance(error, Failed) else explain(str(error))
            outcome = Outcome(step, "failed", remark)
            say(f"FAILED after {time.monotonic() - began:.1f} s")
        except KeyboardInterrupt:
            outcome = Outcome(step, "interrupted", "it was interrupted")
            say("interrupted")
        outcomes.append(outcome)
    return outcomes


def summarise(
    checkout: Checkout, outcomes: Sequence[Outcome], skip: Sequence[str], seconds: float
) -> list[str]:
    """Tell where things are, or what is missing and the one command that makes up for it."""
    broken = [outcome for outcome in outcomes if outcome.state in ("failed", "interrupted")]
    missing = [outcome.step.name for outcome in outcomes if outcome.state == "not reached"]
    missing += [outcome.step.name for outcome in broken]
    is_set_up = not {*skip, *missing} - {"git"}
    state = "is set up" if is_set_up else "is not set up yet; its files are complete"
    lines = [f"The service {state} ({seconds:.1f} s)."]
    rows = [("Folder", str(checkout.root))]
    for outcome in broken:
        number, title = outcomes.index(outcome) + 1, outcome.step.title
        rows.append(("Stopped", f"at step {number}: {title.format(installer=checkout.installer)}"))
        rows.append(("because", outcome.remark))
    if broken:
        rows.append(("details in", str(checkout.log_file)))
    if is_set_up:
        scripts = checkout.scripts.relative_to(checkout.root)
        rows += [
            ("Start it", f"cd {quote([checkout.root])}"),
            ("", f"{scripts / 'uvicorn'} app.main:app --reload"),
            ("then open", "http://127.0.0.1:8000/docs"),
            ("Sign in", f"FIRST_SUPERUSER_EMAIL and _PASSWORD are in {checkout.env_file}"),
            ("Test it", f"{scripts / 'poe'} check"),
        ]
    for outcome in outcomes:
        if outcome.state == "skipped":
            rows.append(("Skipped", f"{outcome.step.title}: {outcome.remark}"))
    if skip:
        rows.append(("Skipped", f"{', '.join(skip)}, as you asked"))
    if checkout.shadowing:
        names = ", ".join(checkout.shadowing)
        rows.append(("Beware", f"your shell sets {names}. That was not used here,"))
        rows.append(("", "but it overrides .env when you start the service."))
    if broken or skip:
        # What was left out as asked is left out again only when something else went wrong.
        command = resume_command(checkout, git="git" in missing, skip=skip if broken else ())
        lines.append(f"  {'Finish it' if broken else 'Set it up'} with this command:")
        lines += ["", f"    {command}", ""]
    return [lines[0], *(f"  {label:<12}{text}" for label, text in rows), *lines[1:]]


def resume_command(checkout: Checkout, *, git: bool, skip: Sequence[str]) -> str:
    python = base_python()
    if sys.version_info[:2] < OLDEST_PYTHON:
        python = next(filter(None, map(shutil.which, NEWER_PYTHONS)), NEWER_PYTHONS[-1])
    options = ["--init-git"] if git else []
    options += ["--skip", *skip] if skip else []
    return quote([python, checkout.root / "scripts" / Path(__file__).name, *options])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--init-git", action="store_true", help="make a git repository as well")
    parser.add_argument(
        "--skip",
        nargs="+",
        default=[],
        choices=[step.name for step in STEPS if step.name != "git"],
        metavar="STEP",
        help="leave out steps: %(choices)s",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # paths may have any character
    for name in ("SIGTERM", "SIGHUP"):  # `nohup` and its like ignore them, and keep to do so
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    left_out = [*options.skip, *([] if options.init_git else ["git"])]
    began = time.monotonic()
    checkout = Checkout(ROOT)
    outcomes = run_steps(checkout, [step for step in STEPS if step.name not in left_out])
    say()
    for line in summarise(checkout, outcomes, options.skip, time.monotonic() - began):
        say(line)
    states = {outcome.state for outcome in outcomes}
    if "interrupted" in states:
        return 128 + signal.SIGINT
    return int("failed" in states)


if __name__ == "__main__":
    sys.exit(main())
