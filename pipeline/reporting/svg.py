"""SVG by hand: a small set of marks, axes and ticks. Colours are classes; the page's style gives them, light or dark."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from .numbers import Histogram
from .words import number, oneline

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 26


def rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> Markup:
    """A rectangle of class `kind`, with a tooltip."""
    body = Markup("<title>{}</title>").format(oneline(title)) if title else ""
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">{}</rect>').format(
        kind, x, y, max(width, 0.0), max(height, 0.0), body)


def text(x: float, y: float, words: str, kind: str = "tick", anchor: str = "start") -> Markup:
    """A label of class `kind`."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, oneline(words))


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of class `kind`."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def path(d: str, kind: str, title: str = "") -> Markup:
    """A path of class `kind`, with a tooltip."""
    body = Markup("<title>{}</title>").format(oneline(title)) if title else ""
    return Markup('<path class="{}" d="{}">{}</path>').format(kind, d, body)


def frame(width: float, height: float, marks: Sequence[Markup], alt: str) -> Markup:
    """The picture: scales with the page's width, and says in words what it shows."""
    head = Markup('<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">').format(width, height, escape(oneline(alt)))
    return head + Markup("").join(marks) + Markup("</svg>")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between low and high, steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """0 and powers of ten between low and high; 2 and 5 times them too where there are few."""
    powers = [10.0**e for e in range(0, math.ceil(math.log10(1 + high)) + 1)]
    found = [p for p in [0.0, *powers] if low <= p <= high]
    return found if len(found) > 2 else [v for p in powers for v in (p, 2 * p, 5 * p) if low <= v <= high]


def histogram(h: Histogram, bounds: Sequence[tuple[str, float]], alt: str, width: float = 500, height: float = 176) -> Markup:
    """Bars of rows that stay with those that left on top, and each (name, bound) as a line; a bound off the picture is told.

    Bars that are not empty are at least one pixel high.
    """
    floor, right = height - BOTTOM, width - RIGHT

    def place(v: float) -> float:
        low, high = h.edges[0], h.edges[-1]
        if h.log:
            low, high, v = (math.log10(1 + x) for x in (low, high, v))
        return LEFT + (v - low) / (high - low) * (right - LEFT)

    most = max(int((h.stays + h.left).max(initial=0)), 1)
    rise = (floor - TOP) / most
    marks = []
    for count in ticks(0, most, 3):
        marks.append(line(LEFT, floor - count * rise, right, floor - count * rise, "grid"))
        marks.append(text(LEFT - 6, floor - count * rise + 3.5, number(count), "tick", "end"))
    for i, (stays, left) in enumerate(zip(h.stays.tolist(), h.left.tolist(), strict=True)):
        marks += _bar(place(h.edges[i]), place(h.edges[i + 1]), floor, stays, left, rise, _bin(h, i))
    for v in (log_ticks if h.log else ticks)(float(h.edges[0]), float(h.edges[-1])):
        marks.append(text(place(v), height - 8, number(v), "tick", "middle"))
    marks += _bounds(bounds, place, floor, right)
    return frame(width, height, marks, alt)


def _bin(h: Histogram, i: int) -> str:
    low, high = float(h.edges[i]), float(h.edges[i + 1])
    if high - low == 1 and low % 1 == 0.5:
        return number(low + 0.5)
    return f"{number(low)} to {number(high)}"


def _bar(x1: float, x2: float, floor: float, stays: int, left: int, rise: float, where: str) -> list[Markup]:
    tall = max(stays * rise, 1.0) if stays else 0.0
    over = max(left * rise, 1.0) if left else 0.0
    gap = min(1.0, 0.2 * (x2 - x1))
    marks = []
    if stays:
        marks.append(rect(x1, floor - tall, x2 - x1 - gap, tall, "stays", f"{where}: {stays:,} stay"))
    if left:
        marks.append(rect(x1, floor - tall - over, x2 - x1 - gap, over, "left", f"{where}: {left:,} leave"))
    return marks


def _bounds(bounds: Sequence[tuple[str, float]], place: Callable[[float], float], floor: float, right: float) -> list[Markup]:
    marks = []
    for name, value in bounds:
        x = place(value) if value > -1 else -1.0
        told = f"{name} {number(value)}"
        if x < LEFT - 1:
            marks.append(text(LEFT, TOP - 10, f"← {told}", "bound"))
        elif x > right + 1:
            marks.append(text(right, TOP - 10, f"{told} →", "bound", "end"))
        else:
            marks.append(line(x, TOP - 6, x, floor, "bound"))
            anchor = "start" if x < LEFT + 50 else "end" if x > right - 50 else "middle"
            marks.append(text(x, TOP - 10, told, "bound", anchor))
    return marks


def bars(rows: Sequence[tuple[str, int, int]], alt: str, width: float = 500) -> Markup:
    """A horizontal bar for each (label, rows that stay, rows that leave), to one scale."""
    most = max([a + b for _, a, b in rows], default=0) or 1
    side, step = 96, 19
    marks = []
    for i, (label, stays, left) in enumerate(rows):
        y = 4 + i * step
        scale = (width - side - 110) / most
        marks.append(text(side - 8, y + 11, label if len(label) <= 14 else label[:13] + "…", "label", "end"))
        marks.append(rect(side, y + 2, stays * scale, 12, "stays", f"{label}: {stays:,} stay"))
        marks.append(rect(side + stays * scale, y + 2, left * scale, 12, "left", f"{label}: {left:,} leave"))
        told = f"{stays + left:,}" + (f"  −{left:,}" if left else "")
        marks.append(text(side + (stays + left) * scale + 7, y + 12, told))
    return frame(width, 8 + step * len(rows), marks, alt)
