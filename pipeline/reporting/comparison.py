"""The comparison of selectors as a table in Markdown, and as a page with plots."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .page import render
from .svg import frame, line, rect, text, ticks
from .words import number

# key -> (heading, what it says, digits)
COLUMNS: dict[str, tuple[str, str, int]] = {
    "rows": ("rows", "rows picked", 0), "tokens": ("tokens", "tokens picked", 0),
    "coverage": ("clusters", "share of the pool's clusters with a pick", 3),
    "vendi": ("Vendi", "effective number of different picks", 1),
    "distance": ("distance", "mean 1 - cosine of a row of the pool to its nearest pick: lower covers more", 4),
    "apart": ("apart", "mean 1 - cosine of a pick to the nearest other pick: higher repeats less", 4),
    "seconds": ("seconds", "to choose", 2),
    "loss": ("loss", "of the small model on rows held out, nats per token", 4),
    "accuracy": ("accuracy", "tokens that it guesses right", 4), "train_seconds": ("train s", "to train it", 1),
}
WIDTH, SIDE, STEP = 1040.0, 190.0, 22.0


def columns(told: Mapping[str, Any]) -> list[str]:
    """The numbers that every line of the table has."""
    return [key for key in COLUMNS if told["table"] and all(key in row for row in told["table"])]


def cell(row: Mapping[str, Any], key: str) -> str:
    """Mean and, over several seeds, standard deviation, where it does not round to nothing."""
    digits = COLUMNS[key][2]
    spread = f"{row[f'{key}_sd']:,.{digits}f}"
    told = f"{row[key]:,.{digits}f}"
    return told if row["seeds"] == 1 or not float(spread.replace(",", "")) else f"{told} ± {spread}"


def markdown(told: Mapping[str, Any]) -> str:
    """The table as Markdown; then, with a proxy, the differences and their intervals."""
    keys, pool = columns(told), told["pool"]
    lines = [f"Pool: {pool['rows']:,} rows, {pool['tokens']:,.0f} tokens; {pool['heldout']:,} rows held out. "
             f"{told['seeds']} seeds; mean ± standard deviation.", "",
             "| share | selector | " + " | ".join(COLUMNS[k][0] for k in keys) + " |", "|---|---|" + "---|" * len(keys)]
    lines += [f"| {r['share']:g} | {r['name']} | " + " | ".join(cell(r, k) for k in keys) + " |" for r in told["table"]]
    if told.get("differences"):
        lines += ["", f"Against {told['baseline']}, the same seeds and rows held out; 95 % interval by bootstrap over both:", "",
                  "| share | selector | what | difference | 95 % interval | |", "|---|---|---|---|---|---|"]
        for d in told["differences"]:
            numbers = f"{d['mean']:+.4f} | {d['low']:+.4f} to {d['high']:+.4f}"
            lines.append(f"| {d['share']:g} | {d['name']} | {d['what']} | {numbers} | {verdict(d)} |")
    return "\n".join(lines) + "\n"


def verdict(difference: Mapping[str, Any]) -> str:
    """better, worse, or nothing where the interval holds 0."""
    if difference["low"] <= 0 <= difference["high"]:
        return ""
    return "better" if (difference["mean"] < 0) == (difference["what"] == "loss") else "worse"


def html(told: Mapping[str, Any]) -> str:
    """The page: table, a plot for each number, overlaps."""
    keys = columns(told)
    shown = [k for k in keys if k not in ("rows", "tokens", "train_seconds")]
    plots = [{"title": COLUMNS[k][0], "what": COLUMNS[k][1], "drawn": _dots(told["table"], k)} for k in shown]
    rows = [{"share": f"{r['share']:g}", "name": r["name"], "cells": [cell(r, k) for k in keys]} for r in told["table"]]
    differences = [{**d, "verdict": verdict(d)} for d in told.get("differences", [])]
    gaps = [(what, _intervals([d for d in differences if d["what"] == what])) for what in ("loss", "accuracy") if differences]
    heads = [COLUMNS[k][0] for k in keys]
    return render("comparison.html.j2", told=told, heads=heads, rows=rows, plots=plots, differences=differences, gaps=gaps)


def _scale(low: float, high: float) -> tuple[float, float]:
    return (low - 0.5, high + 0.5) if high <= low else (low - 0.04 * (high - low), high + 0.04 * (high - low))


def _axis(low: float, high: float, deep: float) -> list[Markup]:
    marks = []
    for value in ticks(low, high, 6):
        x = SIDE + (value - low) / (high - low) * (WIDTH - SIDE - 60)
        marks += [line(x, 4, x, deep, "grid"), text(x, deep + 14, number(value), "tick", "middle")]
    return marks


def _dots(table: Sequence[Mapping[str, Any]], key: str) -> Markup:
    """One line for each selector and share: the mean as a mark, the standard deviation as a bar."""
    low, high = _scale(min(r[key] - r[f"{key}_sd"] for r in table), max(r[key] + r[f"{key}_sd"] for r in table))
    rows = [(f"{r['name']} {r['share']:g}", r[key], r[key] - r[f"{key}_sd"], r[key] + r[f"{key}_sd"], cell(r, key)) for r in table]
    return _ranges(rows, low, high, f"{COLUMNS[key][0]} of each selector")


def _intervals(gaps: Sequence[Mapping[str, Any]]) -> Markup:
    """One line for each difference, with its interval and a line at 0."""
    low, high = _scale(min(0.0, *(d["low"] for d in gaps)), max(0.0, *(d["high"] for d in gaps)))
    rows = [(f"{d['name']} {d['share']:g}", d["mean"], d["low"], d["high"], f"{d['mean']:+.4f}") for d in gaps]
    return _ranges(rows, low, high, "differences and their 95 % intervals", zero=True)


def _ranges(
    rows: Sequence[tuple[str, float, float, float, str]], low: float, high: float, alt: str, zero: bool = False,
) -> Markup:
    deep = 8 + STEP * len(rows)
    marks = _axis(low, high, deep)

    def place(value: float) -> float:
        return SIDE + (value - low) / (high - low) * (WIDTH - SIDE - 60)

    if zero:
        marks.append(line(place(0), 4, place(0), deep, "bound"))
    for i, (name, mean, left, right, told) in enumerate(rows):
        y = 4 + STEP * i
        marks.append(text(SIDE - 8, y + 14, name if len(name) <= 30 else name[:29] + "…", "label", "end"))
        marks.append(rect(place(left), y + 7, place(right) - place(left), 6, "pale"))
        marks.append(rect(place(mean) - 2.5, y + 3, 5, 14, "stays", f"{name}: {told}"))
    return frame(WIDTH, deep + 22, marks, alt)
