"""The flow of rows through the steps: a band whose width is rows, narrowing where rows leave to the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .svg import frame, line, path, rect, text
from .words import REASONS, reasons, share

WIDTH, BAND, X0 = 1040.0, 290.0, 290.0  # picture, widest band, left edge of the band
END = 680.0  # where what leaves ends
BEND = 9.0  # inner radius of a bend
QUIET, LOUD = 26.0, 40.0  # least height of a step without and with a loss


def flow(steps: Sequence[Mapping[str, Any]]) -> Markup:
    """The steps from top to bottom; widths are to scale.

    Where rows leave, a strip as wide as their number bends off to the right and says how many and why.
    """
    total = steps[0]["rows_in"] or 1
    scale = BAND / total
    marks, y = [text(X0 - 14, 16, f"{steps[0]['rows_in']:,} rows in", "strong", "end")], 26.0
    marks.insert(0, rect(X0, 6, steps[0]["rows_in"] * scale, 20, "stays"))
    for step in steps:
        lost = step["rows_in"] - step["rows_out"]
        thick = lost * scale
        height = float(round(max(LOUD, BEND + thick + 12))) if lost else QUIET
        marks += _step(step, y, height, scale, thick, lost)
        y += height
    kept = steps[-1]["rows_out"]
    marks.append(rect(X0, y, max(kept * scale, 0.5 if kept else 0.0), 20, "stays", f"{kept:,} rows kept"))
    marks.append(text(X0 - 14, y + 15, f"{kept:,} rows kept", "strong", "end"))
    marks.append(text(X0 + kept * scale + 10, y + 15, share(kept, steps[0]["rows_in"]), "tick"))
    return frame(WIDTH, y + 28, marks, f"Flow of rows through {len(steps)} steps: {total:,} in, {kept:,} kept")


def _step(step: Mapping[str, Any], y: float, height: float, scale: float, thick: float, lost: int) -> list[Markup]:
    out = step["rows_out"] * scale
    name = f"{step['step']}  {step['op']}" if step["step"] else "read"
    marks = [
        line(20, y + 0.5, X0, y + 0.5, "rule"),
        text(20, y + 17, name, "label"),
        text(X0 - 14, y + 17, f"{step['rows_out']:,}", "count", "end"),
        rect(X0, y, max(out, 0.5 if step["rows_out"] else 0.0), height + 0.3, "stays", f"{name}: {step['rows_out']:,} rows go on"),
    ]
    if lost:
        marks.append(path(_bend(X0 + out, y, max(thick, 0.8)), "left", f"{name}: {lost:,} rows leave, {reasons(step['left'])}"))
        middle = y + BEND + max(thick, 0.8) / 2
        marks.append(text(END + 62, middle + 4, f"−{lost:,}", "loss", "end"))
        marks.append(text(END + 112, middle + 4, share(lost, step["rows_in"]), "tick", "end"))
        why = next(iter(step["left"])) if len(step["left"]) == 1 else ""
        marks.append(text(END + 122, middle + 4, _short(REASONS.get(why, why) or reasons(step["left"])), "tick"))
    return marks


def _bend(x: float, y: float, d: float) -> str:
    """The outline of a strip that comes down between x and x + d at y, and bends to the right."""
    r, inner = BEND, x + d + BEND
    return (f"M{x:.1f} {y:.1f}A{r + d:.1f} {r + d:.1f} 0 0 0 {inner:.1f} {y + r + d:.1f}"
            f"H{END:.1f}V{y + r:.1f}H{inner:.1f}A{r:.1f} {r:.1f} 0 0 1 {x + d:.1f} {y:.1f}Z")


def _short(words: str, most: int = 36) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
