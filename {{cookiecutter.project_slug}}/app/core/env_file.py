"""Finds mistakes in `.env` that its reader passes over in silence."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream


def find_mistakes(path: Path, names: Collection[str]) -> list[str]:
    """Return a line for each mistake, such as the misspelled name of a setting.

    *names* are those of all settings. Other variables are ignored, unless they look like one.
    """
    if path.is_dir():
        return [".env: is a folder; Docker makes one in place of a file that doesn't exist"]
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except FileNotFoundError:
        return []
    except UnicodeError:
        return [".env: is not in UTF-8"]
    except OSError as error:
        return [f".env: can't be read ({error.strerror})"]
    problems, seen = [], set()
    for binding in bindings:
        name, place = (binding.key or "").upper(), f".env, line {binding.original.line}"
        if binding.error:
            problems.append(f"{place}: is not NAME=value, or a quote isn't closed")
        elif name not in names:
            if similar := get_close_matches(name, names, n=1, cutoff=0.8):
                problems.append(f"{place}: {name} is not a setting; did you mean {similar[0]}?")
        elif name in seen:
            problems.append(f"{place}: sets {name} again; the last value counts")
        elif "${" in (binding.value or ""):
            problems.append(f"{place}: {name} refers to another variable, whose value is inserted")
        seen.add(name)
    return problems
