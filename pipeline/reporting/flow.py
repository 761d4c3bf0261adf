"""The flow of rows through the steps: a band whose width is rows, narrowing where rows leave to the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .svg import frame, line, path, rect, text
from .words import REASONS, reasons, share

WIDTH, BAND, X0 = 1040.0, 270.0, 345.0  # picture, widest band, left edge of the band
END = 690.0  # where what leaves ends
BEND = 9.0  # inner radius of a bend
CAP = 20.0  # height of the band above the first step and below the last
QUIET, LOUD = 26.0, 40.0  # least height of a step without and with a loss


def flow(steps: Sequence[Mapping[str, Any]]) -> Markup:
    """The steps from top to bottom; widths are to scale.

    Where rows leave, a strip as wide as their number bends off to the right and says how many and why.
    """
    total, kept = steps[0]["rows_in"], steps[-1]["rows_out"]
    most = max(s["rows_in"] for s in steps)  # a pool's rows join on the way
    scale = BAND / (most or 1)
    outline, y, marks = f"M{X0:.1f} 6V26H{X0 + total * scale:.1f}V6Z", 6 + CAP, []
    for step in steps:
        height, out = _height(step, scale), step["rows_out"] * scale
        outline += f"M{X0:.1f} {y:.1f}H{X0 + out:.1f}V{y + height:.1f}H{X0:.1f}Z"
        marks += _step(step, y, height, scale)
        y += height
    outline += f"M{X0:.1f} {y:.1f}H{X0 + kept * scale:.1f}V{y + CAP:.1f}H{X0:.1f}Z"
    ends = [
        text(X0 - 14, 20, f"{total:,} rows in", "strong", "end"),
        text(X0 - 14, y + 15, f"{kept:,} rows kept", "strong", "end"),
        text(X0 + kept * scale + 10, y + 15, share(kept, most), "tick"),
    ]
    alt = f"Flow of rows through {len(steps) - 1} steps: {total:,} in, {kept:,} kept"
    return frame(WIDTH, y + CAP + 8, [path(outline, "stays"), *marks, *ends], alt)


def _height(step: Mapping[str, Any], scale: float) -> float:
    """Whole pixels, so that the band has no seams."""
    lost = step["rows_in"] - step["rows_out"]
    return float(round(max(LOUD, BEND + lost * scale + 12))) if lost else QUIET


def _step(step: Mapping[str, Any], y: float, height: float, scale: float) -> list[Markup]:
    out, lost = step["rows_out"] * scale, step["rows_in"] - step["rows_out"]
    name = f"{step['step']}  {step['op']}" if step["step"] else "read"
    marks = [
        line(0, y + 0.5, X0, y + 0.5, "rule"),
        text(0, y + 17, name, "label"),
        text(X0 - 14, y + 17, f"{step['rows_out']:,}", "count", "end"),
        rect(X0, y, out, height, "hit", f"{name}: {step['rows_out']:,} rows go on"),
    ]
    if lost:
        thick = max(lost * scale, 0.8)
        middle = y + BEND + thick / 2 + 4
        why = next(iter(step["left"])) if len(step["left"]) == 1 else ""
        marks += [
            path(_bend(X0 + out, y, thick), "left", f"{name}: {lost:,} rows leave, {reasons(step['left'])}"),
            text(END + 62, middle, f"−{lost:,}", "loss", "end"),
            text(END + 112, middle, share(lost, step["rows_in"]), "tick", "end"),
            text(END + 122, middle, _short(REASONS.get(why, why) or reasons(step["left"])), "tick"),
        ]
    return marks


def _bend(x: float, y: float, d: float) -> str:
    """The outline of a strip that comes down between x and x + d at y, and bends to the right."""
    r, inner = BEND, x + d + BEND
    return (f"M{x:.1f} {y:.1f}A{r + d:.1f} {r + d:.1f} 0 0 0 {inner:.1f} {y + r + d:.1f}"
            f"H{END:.1f}V{y + r:.1f}H{inner:.1f}A{r:.1f} {r:.1f} 0 0 1 {x + d:.1f} {y:.1f}Z")


def _short(words: str, most: int = 36) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
