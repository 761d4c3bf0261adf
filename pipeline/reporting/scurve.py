"""The S-curve of a deduplicator that works by bands: which pairs become candidates, by their similarity."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ...operators.dedup.bands import candidate_probability
from . import svg

STEPS = 200


def curve(facts: Mapping[str, Any], width: float = 500, height: float = 150) -> Markup | None:
    """Probability that a pair shares a band over its Jaccard similarity, with the threshold; None where no bands are told."""
    if not {"bands", "rows", "threshold"} <= set(facts):
        return None
    bands, rows, threshold = facts["bands"], facts["rows"], facts["threshold"]
    floor, right = height - svg.BOTTOM, width - svg.RIGHT

    def place(s: float) -> float:
        return svg.LEFT + s * (right - svg.LEFT)

    def rise(p: float) -> float:
        return floor - p * (floor - svg.TOP)

    points = [(place(i / STEPS), rise(candidate_probability(i / STEPS, bands, rows))) for i in range(STEPS + 1)]
    drawn = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    at = candidate_probability(threshold, bands, rows)
    marks = []
    for p in (0.0, 0.5, 1.0):
        marks.append(svg.line(svg.LEFT, rise(p), right, rise(p), "grid"))
        marks.append(svg.text(svg.LEFT - 6, rise(p) + 3.5, f"{p:.0%}", "tick", "end"))
    marks.append(svg.path(f"M{drawn}L{right:.1f},{floor:.1f}L{svg.LEFT},{floor:.1f}Z", "pale", f"{bands} bands of {rows} rows"))
    marks += [svg.text(place(s), height - 8, f"{s:g}", "tick", "middle") for s in svg.ticks(0, 1)]
    marks.append(svg.line(place(threshold), svg.TOP - 6, place(threshold), floor, "bound"))
    anchor = "start" if threshold < 0.2 else "end" if threshold > 0.8 else "middle"
    marks.append(svg.text(place(threshold), svg.TOP - 10, f"threshold {threshold:g}: {at:.1%}", "bound", anchor))
    return svg.frame(width, height, marks, f"Share of pairs that become candidates: {at:.1%} at the threshold {threshold:g}")


def words(facts: Mapping[str, Any]) -> str:
    """What the curve promises and what was measured, in a sentence or two; empty where no bands are told."""
    if "expected_recall" not in facts:
        return ""
    told = (f"{facts['bands']} bands of {facts['rows']} minima find {facts['expected_recall']:.1%} of the pairs that are exactly "
            f"as alike as {facts['threshold']:g}, and more of those that are more alike.")
    if facts.get("sampled_pairs"):
        told += (f" Measured on {facts['sampled_pairs']:,} pairs that the bands had no part in choosing: "
                 f"{facts['measured_recall']:.2%} ended in one cluster ({facts['expected_of_sample']:.2%} expected).")
    return told
