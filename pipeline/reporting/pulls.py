"""What a bandit did, from its trace: the reward of each cluster with its interval, the frontier, and a row's cluster in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from .svg import BOTTOM, LEFT, RIGHT, TOP, frame, line, path, rect, text, ticks
from .words import counted, number

TRACE = "trace.jsonl"
DRAWN, POINTS = 40, 400  # clusters and pulls that are drawn at most
Line = Mapping[str, Any]


@dataclass(frozen=True)
class PullsView:
    """The pictures, and how many clusters are not in the first; the second is None where no bound was finite."""

    clusters: Markup
    frontier: Markup | None
    hidden: int
    words: str


def view(folder: Path, facts: Mapping[str, Any]) -> PullsView | None:
    """What the report shows of a selection in `folder`; None where no bandit chose."""
    found = read(folder)
    if not found or "means" not in facts:
        return None
    order = sorted(range(facts["k"]), key=lambda c: (-facts["means"][c], c))
    asked = sum(len(pull["rows"]) for pull in found)
    words = (f"{counted(len(found), 'pull')} asked about {asked:,} rows, a pilot about {facts['scored'] - asked:,} more; "
             f"it ended because {facts['stopped']}.")
    return PullsView(_clusters(order[:DRAWN], facts), _frontier(found, facts["tau"]), max(len(order) - DRAWN, 0), words)


def read(folder: Path) -> list[dict[str, Any]]:
    """The pulls, in their order, without the pilot; none where no bandit chose."""
    file = folder / TRACE
    return [told for told in map(orjson.loads, file.open("rb")) if told["pull"]] if file.exists() else []


def story(folder: Path, facts: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """A row's cluster in words: how often it was pulled, what is thought of it, and which pull took the row."""
    found, cluster = read(folder), row["cluster"]
    mine = [pull for pull in found if pull["arm"] == cluster]
    named = f"cluster {_name(facts, cluster)!r}" if "names" in facts else "its cluster"
    asked = sum(len(pull["rows"]) for pull in mine)
    said = f"{named}: {counted(len(mine), 'pull')}, {counted(asked, 'row')} asked about"
    if mine:
        last = mine[-1]
        said += f", mean {number(last['mean'])} ({number(last['low'])} to {number(last['high'])}; tau {number(facts['tau'])})"
    return [said, *([f"taken at pull {row['pull']} of {facts['pulls']}"] if row["pull"] else [])]


def _name(facts: Mapping[str, Any], cluster: int) -> str:
    return str(facts["names"][cluster]) if "names" in facts else str(cluster)


def _clusters(order: Sequence[int], facts: Mapping[str, Any], width: float = 1040) -> Markup:
    """A line for each cluster: its interval, its mean, the line of tau, how often it was pulled and how much of it was taken."""
    left, right, step = 120.0, width - 230, 17
    ends = [v for c in order for v in (facts["lows"][c], facts["highs"][c], facts["means"][c]) if v is not None] + [facts["tau"]]
    low, high = min(ends), max(ends)

    def place(value: float | None, otherwise: float) -> float:
        inside = min(max(otherwise if value is None else value, low), high)
        return left + (inside - low) / ((high - low) or 1.0) * (right - left)

    marks, deep = [], step * len(order) + 8.0
    for value in ticks(low, high):
        x = place(value, low)
        marks += [line(x, 4, x, deep, "grid"), text(x, deep + 14, number(value), "tick", "middle")]
    for i, c in enumerate(order):
        y, mean = 8.0 + step * i, facts["means"][c]
        a, b = place(facts["lows"][c], low), place(facts["highs"][c], high)
        told = f"{facts['visits'][c]:,} pulls, mean {number(mean)}, {number(facts['lows'][c])} to {number(facts['highs'][c])}"
        marks.append(text(left - 8, y + 10, _name(facts, c)[:16], "label", "end"))
        marks.append(rect(a, y + 4, max(b - a, 1.0), 6, "pale", f"cluster {_name(facts, c)}: {told}"))
        marks.append(rect(place(mean, low) - 2, y + 1, 4, 12, "stays" if facts["picked"][c] else "left"))
        taken = f"{facts['picked'][c]:,} of {facts['sizes'][c]:,} rows taken"
        marks.append(text(right + 10, y + 10, f"{counted(facts['visits'][c], 'pull')}; {taken}"))
    marks += [line(place(facts["tau"], low), 2, place(facts["tau"], low), deep, "bound")]
    return frame(width, deep + 20, marks, f"Reward by cluster, with intervals; tau is {number(facts['tau'])}")


def _frontier(found: Sequence[Line], tau: float, width: float = 1040, height: float = 170) -> Markup | None:
    """The highest bound of any cluster before each pull, the reward of the pulls, and tau."""
    every = max(1, -(-len(found) // POINTS))
    shown = [pull for pull in found[::every] if pull["frontier"] is not None]
    if not shown:
        return None
    means = [(p, sum(p["rewards"]) / len(p["rewards"])) for p in shown if p["rewards"]]
    values = [p["frontier"] for p in shown] + [m for _, m in means] + [tau]
    low, high, floor, right = min(values), max(values), height - BOTTOM, width - RIGHT

    def across(pull: int) -> float:
        return LEFT + (pull - 1) / max(len(found) - 1, 1) * (right - LEFT)

    def up(value: float) -> float:
        return floor - (value - low) / ((high - low) or 1.0) * (floor - TOP)

    drawn = "L".join(f"{across(p['pull']):.1f},{up(p['frontier']):.1f}" for p in shown)
    first, last = across(shown[0]["pull"]), across(shown[-1]["pull"])
    marks = [path(f"M{first:.1f},{floor:.1f}L{drawn}L{last:.1f},{floor:.1f}Z", "pale", "highest bound of any cluster")]
    for value in ticks(low, high, 4):
        marks += [line(LEFT, up(value), right, up(value), "grid"), text(LEFT - 6, up(value) + 3.5, number(value), "tick", "end")]
    for p, mean in means:
        kind, said = "stays" if p["decision"] == "take" else "left", f"pull {p['pull']}, cluster {p['arm']}: {p['decision']}"
        marks.append(rect(across(p["pull"]) - 1.5, up(mean) - 1.5, 3, 3, kind, said))
    marks += [text(across(int(v)), height - 8, number(v), "tick", "middle") for v in ticks(1, len(found)) if v >= 1]
    marks += [line(LEFT, up(tau), right, up(tau), "bound"), text(right, up(tau) - 4, f"tau {number(tau)}", "bound", "end")]
    return frame(width, height, marks, "Highest bound of any cluster by pull, and the reward of each pull")
