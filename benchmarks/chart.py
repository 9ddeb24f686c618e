"""Draws the results of `dev.py benchmark service` as an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from xml.sax.saxutils import escape

COLORS = {"service": "#009485", "textbook": "#b0b7bf", "raw": "#5b6b7b"}
NAMES = {
    "service": "generated service, every feature on",
    "textbook": "app from the tutorials",
    "raw": "bare driver, nothing validated",
}
LEFT, RIGHT, BAR, GAP = 120, 700, 14, 16


class Measured(Protocol):
    @property
    def route(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def connections(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def requests_per_second(self) -> float: ...


def draw(results: Sequence[Measured], connections: int = 32, workers: int = 1) -> str:
    """Draw requests per second, relative to the app from the tutorials, for each route."""
    chosen = [
        each for each in results if (each.connections, each.workers) == (connections, workers)
    ]
    routes = list(dict.fromkeys(each.route for each in chosen))
    speed = {(each.route, each.subject): each.requests_per_second for each in chosen}
    subjects = [name for name in COLORS if any(subject == name for _, subject in speed)]
    ratio = {key: value / speed[key[0], "textbook"] for key, value in speed.items()}
    scale = (RIGHT - LEFT - 120) / max(ratio.values(), default=1)
    parts, y = [], 20
    for number, subject in enumerate(subjects):
        x = LEFT + number * 245
        parts.append(
            f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLORS[subject]}"/>'
        )
        parts.append(f'<text x="{x + 18}" y="{y}">{escape(NAMES[subject])}</text>')
    y += 24
    for route in routes:
        middle = y + len(subjects) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(route)}</text>')
        for subject in subjects:
            width = ratio[route, subject] * scale
            label = f"{ratio[route, subject]:.2f} ({speed[route, subject]:,.0f}/s)"
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}"'
                f' fill="{COLORS[subject]}"/>'
            )
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + BAR - 4}">{label}</text>')
            y += BAR
        y += GAP
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {RIGHT + 130} {y}" role="img"'
        ' font-family="sans-serif" font-size="12">\n'
        f"<title>Requests per second, {connections} connections, {workers} worker</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
