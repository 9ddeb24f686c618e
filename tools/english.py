"""Find sentences that read as translated, in every text of both products that a person reads.

`python -m tools.english` counts them per file; tests/test_english.py allows none. A rule is a
phrase that was overused here, with a sentence that shows it and the same sentence rewritten.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dev import ROOT


@dataclass(frozen=True)
class Rule:
    """A pattern that no sentence may match."""

    pattern: str
    reason: str
    bad: str
    good: str


RULES = [
    Rule(
        # Only capitalised, as the first word of a sentence; a question may begin so.
        r"^\W*(?-i:What|Who|Whoever)\b(?!.*\?)",
        "name the actor instead of starting with What or Who",
        bad="What breaks a limit is answered with 413.",
        good="The middleware answers 413 when a request breaks a limit.",
    ),
    Rule(
        # The words after them tell prose from code and from headers.
        r"; [a-z]+[ ,].*; [a-z]+[ ,]",
        "one idea a sentence: split it at the semicolons",
        bad="It stops; clients retry; nothing is lost.",
        good="It stops, and clients retry. Nothing is lost.",
    ),
    Rule(
        # "There is no such file" is ordinary English, and so are "is no longer" and "is no more than".
        r"(?<!\bthere )\b(?:is|are|was|were)(?: no(?! (?:longer|more than|less than|fewer than))"
        r"| (?-i:none)(?! of\b))\b",
        "is not, isn't, are not",
        bad="The body is no UTF-8.",
        good="The body isn't UTF-8.",
    ),
    Rule(
        r"^\W*(?-i:All that)\b",
        "everything that, or name it",
        bad="All that wraps a request.",
        good="Everything that wraps a request.",
    ),
    Rule(r"\banew\b", "again", bad="It is hashed anew.", good="It is hashed again."),
    Rule(
        r"\b(?:shall|shan't)\b",
        "must, should, will",
        bad="The client shall wait.",
        good="The client must wait.",
    ),
    Rule(
        r"\bmeanwhile\b",
        "while, in the meantime, or leave it out",
        bad="The token was revoked meanwhile.",
        good="The token was revoked in the meantime.",
    ),
    Rule(
        r"\bbeside\b",
        "next to, in addition to, compared with",
        bad="Put the proxy beside the service.",
        good="Put the proxy next to the service.",
    ),
    Rule(
        r"\bby then\b",
        "already, at that time, or name the moment",
        bad="It ends the logins stored by then.",
        good="It ends all stored sessions.",
    ),
    Rule(
        r"\bbelieve[ds]? (?:of|from)\b|\b(?:to|not|is|are|only) believed?\b|\bwhom? to believe\b",
        "trusted, trusted from",
        bad="The header is believed of proxies.",
        good="The header is trusted from proxies.",
    ),
    Rule(
        # A program that stops over its settings refuses to start, and servers refuse connections.
        r"(?<!\bconnection )(?<!\bconnections )\brefus(?:e|es|ed|al|als|ing)\b"
        r"(?! (?:to (?:start|run|connect)|(?:the |new |a )?connections?)\b)",
        "rejected, invalid, not allowed",
        bad="Unknown fields are refused.",
        good="Unknown fields are rejected.",
    ),
    Rule(
        # Programs are told to do something, and a message tells the user something.
        r"\btold\b(?! (?:apart|to)\b)|\btell whether\b"
        r"|\btells\b(?! (?:you|them|it|the user|\w+ apart)\b)",
        "is reported, says, shows, returns whether",
        bad="All problems are told at once, and the log tells why.",
        good="All problems are reported at once, and the log says why.",
    ),
    Rule(
        r"\bmend(?:s|ed|ing)?\b",
        "fix, repair",
        bad="The release mends a bug.",
        good="The release fixes a bug.",
    ),
    Rule(
        # "The first one's transaction" is about one of several, not about everybody.
        r"\boneself\b|(?<!first )(?<!second )(?<!next )(?<!last )(?<!old )(?<!new )\bone's\b",
        "you, the user, their",
        bad="Delete oneself.",
        good="Delete the current user.",
    ),
    Rule(
        r"\bof (?:ours|theirs)\b",
        "our, their",
        bad="Empty for a bug of ours.",
        good="Empty for our bugs.",
    ),
    Rule(
        r"\b(?:a|the|its|their|his|whose|nobody'?s|take|takes) turns?\b(?! (?:on|off|into|to))"
        r"|\bin turns\b",
        "slot, permit, alternately",
        bad="A login waits for its turn.",
        good="A login waits for a slot.",
    ),
    Rule(
        r"\bmembers? (?:of (?:a|the|its) (?:body|object|schema|request)|that)\b|\bunknown members?\b"
        r"|\bmembers of schemas\b",
        "field",
        bad="It ignores members that it doesn't know.",
        good="It ignores fields that it doesn't know.",
    ),
    Rule(
        r"\bthe answer is \d{3}\b",
        "it returns 503",
        bad="After 3 s the answer is 503.",
        good="After 3 s it returns 503.",
    ),
    Rule(
        r"\bat the most\b", "at most", bad="It waits 3 s at the most.", good="It waits at most 3 s."
    ),
]
PATTERNS = [(re.compile(rule.pattern, re.IGNORECASE), rule) for rule in RULES]

# Others wrote them, or programs did, or they quote the phrases.
SKIPPED = re.compile(
    r"(.*/)?(LICENSE|requirements[-.\w]*\.txt)|templates/.*|.*\.(gz|png|svg)"
    r"|tools/english\.py|tests/test_english\.py"
)
NEW_PARAGRAPH = re.compile(r"(?P<heading>#+) |[-*>] |\d+\. |```")
CODE_SPAN = re.compile(r"`[^`]+`")
MARKUP = re.compile(r"<[^>]*>|&\w+;")
SENTENCE_END = re.compile(r"(?<=[.!?:])[\"')*_]* ")

Lines = list[tuple[int, str]]


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    sentence: str
    rule: Rule

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence!r}: {self.rule.reason}"


def paragraphs(lines: Lines) -> Iterator[Lines]:
    """Split at blank lines, headings, list items and cells of tables."""
    paragraph: Lines = []
    for number, line in lines:
        text = line.strip()
        marker = NEW_PARAGRAPH.match(text)
        if not text or marker or text.startswith("|"):
            yield paragraph
            paragraph = []
        if text.startswith("|"):
            yield from ([(number, cell)] for cell in text.split("|"))
        elif marker and marker["heading"]:
            # A heading may be a clause, such as "What you get".
            yield [(number, text.lstrip("# ").lower())]
        elif text:
            paragraph.append((number, text[marker.end() :] if marker else text))
    yield paragraph


def comments_and_lines(lines: Lines) -> Iterator[Lines]:
    """Join the lines of a comment; any other line stands alone, as in TOML and YAML."""
    comment: Lines = []
    for number, line in lines:
        text = line.strip()
        if text.startswith("#") and not text.startswith(("# {%", "#!")):
            comment.append((number, text.lstrip("# ")))
            continue
        yield from paragraphs(comment)
        comment = []
        yield [(number, text)]
    yield from paragraphs(comment)


def python_texts(source: str) -> Iterator[Lines]:
    """Comments, strings (docstrings among them), and the names of functions and classes."""
    block: Lines = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        comment = (token.start[0], token.string)
        if not token.line.lstrip().startswith("#"):  # a comment behind code stands alone
            yield from comments_and_lines([comment])
            continue
        if block and block[-1][0] != comment[0] - 1:
            yield from comments_and_lines(block)
            block = []
        block.append(comment)
    yield from comments_and_lines(block)

    parts: set[int] = set()
    for node in ast.walk(ast.parse(source)):  # breadth first: an f-string comes before its parts
        match node:
            case ast.JoinedStr(values=values):
                parts |= {id(value) for value in values}
                text = "".join(
                    str(value.value) if isinstance(value, ast.Constant) else "X" for value in values
                )
            case ast.Constant(value=str(text)) if id(node) not in parts:
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                text = name.removeprefix("test_").replace("_", " ").capitalize()
            case ast.ClassDef(name=text):
                pass
            case _:
                continue
        yield from paragraphs(list(enumerate(text.split("\n"), node.lineno)))


def sentences(paragraph: Lines) -> Iterator[tuple[int, str]]:
    """Yield each sentence of a paragraph, with the number of the line where it begins."""
    starts: list[int] = []
    words: list[str] = []
    for _, line in paragraph:
        starts.append(sum(map(len, words)) + len(words))
        words += line.split()
    text = " ".join(words)
    begin = 0
    if not text:
        return
    for end in [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]:
        yield paragraph[bisect(starts, begin) - 1][0], text[begin:end].strip()
        begin = end


def texts_of(path: str, text: str) -> Iterator[Lines]:
    """Yield what a person reads of a file, in paragraphs of numbered lines."""
    numbered = list(enumerate(text.split("\n"), 1))
    match PurePosixPath(path).suffix:
        case ".py":
            yield from python_texts(text)
        case ".md":
            yield from paragraphs(numbered)
        case ".html":
            yield from paragraphs([(number, MARKUP.sub(" ", line)) for number, line in numbered])
        case _:
            yield from comments_and_lines(numbered)


def check(path: str, text: str) -> Iterator[Finding]:
    for paragraph in texts_of(path, text):
        for line, sentence in sentences(paragraph):
            # What is quoted as code may be any word.
            plain = CODE_SPAN.sub("`code`", sentence)
            for pattern, rule in PATTERNS:
                if pattern.search(plain):
                    yield Finding(path, line, sentence, rule)


def files(root: Path) -> list[str]:
    """List the files of a checkout that are not ignored, committed or not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    names = sorted(set(listed.decode().split("\0")[:-1]))
    return [name for name in names if not SKIPPED.fullmatch(name) and (root / name).is_file()]


def find(root: Path = ROOT) -> list[Finding]:
    return [
        finding
        for name in files(root)
        for finding in check(name, (root / name).read_text(encoding="utf-8"))
    ]


def main() -> int:
    found = find(*map(Path, sys.argv[1:2]))
    for finding in found:
        print(finding)
    counts = Counter(finding.path for finding in found)
    for path, count in counts.most_common():
        print(f"{count:5} {path}")
    print(f"{len(found):5} in all")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
