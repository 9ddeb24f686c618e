"""Benchmarks report what they measure, and fail when it is beyond their limits.

test_generated_service.py runs those of a service.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import chart, generation, instructions, logins, pages, service


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


RESULTS = [
    service.Result(
        "current user",
        name,
        32,
        1,
        speed,
        1,
        2,
        3,
        rejected=0,
        failed=0,
        cpu_us=1,
        memory_mib=1,
        start_seconds=1,
    )
    for name, speed in (("service", 1500), ("textbook", 1000), ("raw", 3000))
]


def test_speed_is_compared_with_the_textbook() -> None:
    header, ours, textbook, raw = service.table(RESULTS).splitlines()
    assert header.split()[:2] == ["route", "workers"]
    assert [line.split()[6] for line in (ours, textbook, raw)] == ["1.50", "1.00", "3.00"]


def test_chart_shows_each_subject() -> None:
    drawn = ElementTree.fromstring(chart.draw(RESULTS))  # noqa: S314 -- our own picture
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-4:] == ["current user", "1.50 (1,500/s)", "1.00 (1,000/s)", "3.00 (3,000/s)"]


def test_unknown_route_is_rejected() -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    with pytest.raises(SystemExit, match="there is no route 'x'"):
        benchmarks.main(["service", "--routes", "x"])


@pytest.mark.parametrize(("after", "code"), [(1020, 0), (1040, 1), (900, 0)])
def test_more_instructions_than_before_fail(after: int, code: int) -> None:
    before = dict.fromkeys(instructions.ROUTES, 1000)
    assert instructions.report(before, before | {"current user": after}) == code


@pytest.mark.nightly
def test_requests_need_no_more_instructions_than_at_the_previous_commit() -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    assert benchmarks.main(["instructions"]) == 0


@pytest.mark.nightly
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_service_is_compared_with_other_apps(tmp_path: Path, database: str) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    path, drawing = tmp_path / "results.json", tmp_path / "chart.svg"
    options = ["--connections", "1", "--workers", "1", "--rounds", "1", "--seconds", "1"]
    options += ["--database", database, "--json", str(path), "--chart", str(drawing)]
    assert benchmarks.main(["service", *options]) == 0
    results = json.loads(path.read_text())
    subjects = {"service", "textbook"} | ({"raw"} if database == "postgresql" else set())
    assert {(each["route"], each["subject"]) for each in results} == {
        (route, subject) for route in service.ROUTES for subject in subjects
    }
    assert not [each for each in results if each["rejected"] or each["failed"]]
    assert all(each["requests_per_second"] > 1 for each in results)
