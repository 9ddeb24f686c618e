"""Answers as data: the ones to accept, and the ones to reject with the reason."""

from __future__ import annotations

from typing import Any

GOOD: dict[str, Any] = {
    "project_name": "My Service",
    "project_slug": "my_service",
    "project_description": "It does things.",
    "author_name": "Jane Doe",
    "author_email": "jane@example.com",
    "license": "MIT",
    "database": "sqlite",
    "telemetry": "no",
    "layer_names": "default",
    "ci": "github",
    "deployment": "docker",
    "_layers": "",
    "_layer_names": {"default": "api core crud db dependencies models schemas services utils"},
    "setup_environment": False,
    "init_git": False,
}

# Awkward but ordinary texts, which must arrive unchanged.
INTACT = {
    "apostrophe": "O'Brien's",
    "double-quotes": 'The "best" one',
    "triple-quotes": '"""; import os; """',
    "triple-apostrophes": "'''; import os; '''",
    "ends-with-quote": 'said "yes"',
    "backslashes": "C:\\new\\table \\u0041 \\",
    "backslash-quote": '\\" \\\\" \\',
    "backticks": "`id` $(id) ${HOME} $HOME %PATH% !x",
    "percent": "100% %s %(x)s {x} {} {0}",
    "script": "</script><script>alert(1)</script> <!-- --> &amp;",
    "yaml": "- a: [b, {c}] # d & *e !f | > @g",
    "toml": 'x = """ ] [table]',
    "comment": "# not a comment // nor /* this */ <!-- or this",
    "dashes": "--help -rf ---",
    "single-braces": "{ } } }} %} #}",
    "github": "$ {x} }} ${ {x} }",
    "accents": "Zoë Čapek Łukasz",
    "combining": "e\u0301 n\u0303",
    "emoji": "🚀 👩‍👩‍👧 ❤️ 👍🏽",
    "right-to-left": "שלום עולם مرحبا",
    "joiners": "می‌خواهم",
    "cjk": "日本語サービス",
    "beyond-the-basic-plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠀋",
    "looks-like-null": "null",
    "looks-like-number": "1e5",
    "one-character": "x",
}
# Cookiecutter evaluates these in answers that it doesn't ask for.
TEMPLATES = {
    "expression": "{{ 7 * 7 }}",
    "string": "{{ 'abc' }}",
    "block": "# {% if true %}x# {% endif %}",
    "comment": "a # {# gone #}b",
    "raw": "# {% raw %}{{ x }}# {% endraw %}",
    "attribute": "{{ cookiecutter.__class__ }}",
}
# Cookiecutter itself fails when it evaluates these.
BROKEN_TEMPLATES = {
    "undefined": "{{ undefined.x }}",
    "open": "{{ ",
    "empty": "{{ }}",
    "unclosed-block": "# {% if x %}",
    "unclosed-comment": "# {# x",
    "unclosed": "{{ x",
    "division": "{{ 1/0 }}",
    "filter": '{{ "a"|nosuch }}',
}
REJECTED_TEXTS = {
    "empty": ("", "must not be empty"),
    "blank": ("   ", "must not be empty"),
    "leading-space": (" x", "white space"),
    "trailing-no-break-space": ("x\u00a0", "white space"),
    "line-feed": ("a\nb", "a line break"),
    "carriage-return": ("a\rb", "a line break"),
    "tab": ("a\tb", "a tab"),
    "nul": ("a\0b", "U+0000"),
    "escape": ("a\x1b[31mb", "U+001B"),
    "delete": ("a\x7fb", "U+007F"),
    "next-line": ("a\x85b", "U+0085"),
    "line-separator": ("a\u2028b", "U+2028"),
    "paragraph-separator": ("a\u2029b", "U+2029"),
    "lone-surrogate": ("a\ud800b", "U+D800"),
    "right-to-left-override": ("a\u202eb", "U+202E"),
    "isolate": ("a\u2066b", "U+2066"),
    "right-to-left-mark": ("a\u200fb", "U+200F"),
    "zero-width-space": ("a\u200bb", "U+200B"),
    "byte-order-mark": ("a\ufeffb", "U+FEFF"),
    "soft-hyphen": ("a\u00adb", "U+00AD"),
    "tag": ("a\U000e0041b", "U+E0041"),
    "noncharacter": ("a\uffffb", "U+FFFF"),
    "noncharacter-of-another-plane": ("a\U0001fffeb", "U+1FFFE"),
    "noncharacter-in-the-middle": ("a\ufdd0b", "U+FDD0"),
    "too-long": ("x" * 501, "characters, and has 501"),
    "far-too-long": ("x" * 10_000, "characters, and has 10000"),
}
NOT_TEXT = {"null": None, "number": 1, "list": ["x"], "mapping": {"x": "y"}, "boolean": True}

ACCEPTED_SLUGS = [
    *("a", "z9", "my_service", "my-service", "a-b_c-1", "x" * 60, "comb", "com10", "y"),
    # Ordinary names for a service, although Python, YAML or the service itself uses them too.
    *("calendar", "email", "docs", "queue", "token", "profile", "json", "test", "match", "yes"),
    *("api", "app", "main", "auth", "tests", "dns", "use-cases"),
]
LETTERS = "must start with a letter"
WINDOWS = "reserved name on Windows"
DEPENDENCY = "a package that the service depends on"
REJECTED_SLUGS = {
    "": "must not be empty",
    "x" * 61: "at most 60 characters, and has 61",
    "x" * 5000: "at most 60 characters, and has 5000",
    **dict.fromkeys(
        [
            *(
                "../evil",
                "..",
                ".",
                "./x",
                ".hidden",
                "a/b",
                "a/../../b",
                "/absolute",
                "~",
                "~root",
            ),
            *("a\\b", "C:\\x", "c:x", "-rf", "--help", "$(id)", "a;id", "a b", "a.b", "aux.txt"),
            *("My_Service", "CON", "1st", "_x", "x_", "x-", "a__b", "a-_b", "nul .txt"),
            *("a\nb", "ab\n", "a\0b", "caf\u00e9", "\u0661x", "\uff41bc", "\ud800", "com\u00b9"),
        ],
        LETTERS,
    ),
    **dict.fromkeys(["con", "prn", "aux", "nul", "com1", "lpt9"], WINDOWS),
    **dict.fromkeys(["fastapi", "email-validator", "pydantic_settings", "pytest"], DEPENDENCY),
}
ACCEPTED_EMAILS = [
    "you@example.com",
    "first.last+tag@sub.example.co.uk",
    "o'brien@example.ie",
    "a_b%c-d@x-y.example.org",
    "1@2.cc",
    "A@EXAMPLE.COM",
    "a" * 64 + "@example.com",
]
REJECTED_EMAILS = {
    "'a@example.com": "unsupported characters before the @",  # begins a quoted value in .env
    "": "no @",
    "jane": "no @",
    "@example.com": "before the @",
    "a b@example.com": "before the @",
    "a@b@example.com": "before the @",
    ".a@example.com": "before the @",
    "a..b@example.com": "before the @",
    'a"b@example.com': "before the @",
    "a$b@example.com": "before the @",
    "a#b@example.com": "before the @",
    "a`b@example.com": "before the @",
    "a\\b@example.com": "before the @",
    "zo\u00eb@example.com": "before the @",
    "a\n@example.com": "before the @",
    "a@": "domain",
    "a@localhost": "domain",
    "a@example": "domain",
    "a@.com": "domain",
    "a@-x.com": "domain",
    "a@x-.com": "domain",
    "a@x..com": "domain",
    "a@x_y.com": "domain",
    "a@127.0.0.1": "domain",
    "a@[127.0.0.1]": "domain",
    "a@b\u00fccher.de": "domain",
    "a@example.com\n": "domain",
    "a@" + "x" * 64 + ".com": "domain",
    "a@xn--bcher-kva.de": "internationalised",
    "a@ab--c.com": "internationalised",
    "a@x.test": "reserved",
    "a@x.INVALID": "reserved",
    "a@x.local": "reserved",
    "a@x.localhost": "reserved",
    "a@1.in-addr.arpa": "reserved",
    "a@x.onion": "reserved",
    "a" * 65 + "@example.com": "too long",
    "a@" + ("x" * 50 + ".") * 5 + "com": "too long",
}
# The files of a small template that show how texts arrive.
PROBE = {
    "probe.py": 'NAME = "{{ cookiecutter.__project_name }}"\n'
    'DESCRIPTION = "{{ cookiecutter.__project_description }}"\n'
    'AUTHOR = "{{ cookiecutter.__author_name }}"\n',
    "README.md": "# {{ cookiecutter.project_name }}\n\n> {{ cookiecutter.project_description }}\n",
    "LICENSE": "Copyright (c) {{ cookiecutter.author_name }}\n",
}
