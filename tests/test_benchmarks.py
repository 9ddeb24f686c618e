"""Benchmarks report what they measure, and fail when it is beyond their limits.

test_generated_service.py runs those of a service.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import generation, logins, pages


@pytest.mark.parametrize(("limit", "code"), [("1.9", 1), ("2.1", 0)])
def test_generation_fails_above_its_limit(
    monkeypatch: pytest.MonkeyPatch, limit: str, code: int
) -> None:
    monkeypatch.setattr(generation, "generate", lambda template, answers: 2 if answers else 1)

    assert benchmarks.main(["generation", "--runs", "1", "--limit", limit]) == code


FAST = logins.Round(Counter({200: 5}), Counter({200: 3}), [1.0, 2.0, 3.0], growth_mib=20)
SLOW = logins.Round(Counter({200: 5}), Counter({200: 3}), [1.0, 2.0, 300.0], growth_mib=20)
LARGE = logins.Round(Counter({200: 5}), Counter({200: 3}), [1.0, 2.0, 3.0], growth_mib=1000)
BROKEN = logins.Round(Counter({200: 5}), Counter({200: 2, 503: 1}), [1.0, 2.0, 3.0], growth_mib=20)


@pytest.mark.parametrize(
    ("rounds", "code"), [([FAST], 0), ([FAST, SLOW], 1), ([LARGE], 1), ([BROKEN], 1)]
)
def test_logins_fail_when_probes_or_memory_suffer(
    monkeypatch: pytest.MonkeyPatch, rounds: list[logins.Round], code: int
) -> None:
    monkeypatch.setattr(logins, "measure", lambda *_: rounds)

    assert logins.run(Path()) == code


@pytest.mark.parametrize(("last", "code"), [(1.9, 0), (2.1, 1)])
def test_pages_fail_when_the_last_one_is_slow(
    monkeypatch: pytest.MonkeyPatch, last: float, code: int
) -> None:
    times = [pages.Times("email", 1000, 1, 1), pages.Times("-email", 1000, 1, last)]
    monkeypatch.setattr(pages, "measure", lambda *_: times)

    assert pages.run(Path()) == code


def test_unknown_database_is_rejected() -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(["pages", "--database", "mysql"])
