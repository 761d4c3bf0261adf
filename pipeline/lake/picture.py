"""The containment graph as pictures: one for each family of tables, parents left, what is in them right."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from markupsafe import Markup

from ..reporting import svg
from .graph import Graph

FAMILIES, NODES = 24, 40  # drawn; the rest is counted in words
_WIDTH, _STEP, _TOP, _BOX = 1040, 22, 12, 12
_LETTER = 7.2  # width of one in a label


@dataclass(frozen=True)
class Family:
    """Tables that containment holds together: how many, how many go, and the picture (None: too many to draw)."""

    tables: int
    deleted: int
    drawn: Markup
    hidden: int


def families(graph: Graph, deleted: Mapping[str, str]) -> tuple[list[Family], int]:
    """The largest families, and how many are not drawn. `deleted`: table -> the parent that it is rebuilt from."""
    twin = _twins(graph)
    groups = _groups(graph, twin)
    shown = [_family(graph, members, twin, deleted) for members in groups[:FAMILIES]]
    return shown, max(0, len(groups) - FAMILIES)


def _twins(graph: Graph) -> np.ndarray:
    """int64[n]: the first of the tables that a table is equal to: each is in the other."""
    both = set(zip(graph.parent.tolist(), graph.child.tolist(), strict=True))
    twin = np.arange(len(graph.tables))
    for p, c in sorted(both):
        if (c, p) in both and p < c:
            twin[c] = min(twin[c], twin[p])
    return twin


def _groups(graph: Graph, twin: np.ndarray) -> list[list[int]]:
    root = np.arange(len(graph.tables))

    def find(n: int) -> int:
        while root[n] != n:
            root[n] = root[root[n]]
            n = int(root[n])
        return n

    for p, c in zip(graph.parent.tolist(), graph.child.tolist(), strict=True):
        a, b = find(p), find(c)
        root[max(a, b)] = min(a, b)
    members: dict[int, list[int]] = {}
    for n in range(len(root)):
        members.setdefault(find(n), []).append(n)
    return sorted((m for m in members.values() if len(m) > 1), key=lambda m: (-len(m), m[0]))


def _family(graph: Graph, members: list[int], twin: np.ndarray, deleted: Mapping[str, str]) -> Family:
    names = graph.names
    inside = set(members)
    heads = sorted({int(twin[m]) for m in members})
    below: dict[int, set[int]] = {h: set() for h in heads}
    for p, c in zip(graph.parent.tolist(), graph.child.tolist(), strict=True):
        if p in inside and twin[p] != twin[c]:
            below[int(twin[p])].add(int(twin[c]))
    level = _levels(below)
    shown = sorted(heads, key=lambda h: (level[h], names[h]))[:NODES]
    same = {h: [m for m in members if twin[m] == h] for h in heads}
    room = int((_WIDTH / (max(level[h] for h in shown) + 1) - _BOX - 20) / _LETTER)
    drawn = _drawn(shown, below, level, {h: _label(names, same[h], deleted, room) for h in shown},
                   {h: [names[m] in deleted for m in same[h]] for h in shown})
    return Family(len(members), sum(names[m] in deleted for m in members), drawn, len(heads) - len(shown))


def _label(names: list[str], same: list[int], deleted: Mapping[str, str], room: int) -> str:
    """The name of the table that stays, or of the first, and how many are equal to it, cut to `room` letters."""
    told = " ".join(PurePosixPath(min((names[m] for m in same), key=lambda n: n in deleted)).name.split())
    more = f" and {len(same) - 1} equal" if len(same) > 1 else ""
    room = max(min(44, room) - len(more), 8)
    return (told if len(told) <= room else told[:room - 1] + "…") + more


def _levels(below: Mapping[int, set[int]]) -> dict[int, int]:
    """How many tables lie above each, on the longest way: containment of unequal tables has no circles."""
    above: dict[int, set[int]] = {n: set() for n in below}
    for p, children in below.items():
        for c in children:
            above[c].add(p)
    # containment is transitive: everything above is directly above
    return {n: len({len(above[p]) for p in above[n]}) for n in below}


def _drawn(
    shown: list[int], below: Mapping[int, set[int]], level: Mapping[int, int], labels: Mapping[int, str],
    gone: Mapping[int, list[bool]],
) -> Markup:
    deepest = max(level[n] for n in shown)
    column = _WIDTH / (deepest + 1)
    row: dict[int, int] = {}
    place: dict[int, tuple[float, float]] = {}
    for n in shown:
        place[n] = (level[n] * column + 4, _TOP + row.get(level[n], 0) * _STEP)
        row[level[n]] = row.get(level[n], 0) + 1
    marks = []
    for p in shown:
        direct = {c for c in below[p] if not any(c in below[m] for m in below[p])}  # the others follow from these
        for c in sorted(direct & set(shown)):
            (x1, y1), (x2, y2) = place[p], place[c]
            x1 = min(x1 + _BOX + 12 + len(labels[p]) * _LETTER, x2 - 12)  # behind the label
            pull = min(60, (x2 - x1) / 2)
            bend = f"M{x1:.0f} {y1 + 6:.0f} C{x1 + pull:.0f} {y1 + 6:.0f} {x2 - pull:.0f} {y2 + 6:.0f} {x2:.0f} {y2 + 6:.0f}"
            marks.append(svg.path(bend, "edge", f"{labels[c]} is in {labels[p]}"))
    for n in shown:
        x, y = place[n]
        kind = "left" if all(gone[n]) else "stays"
        marks.append(svg.rect(x, y, _BOX, _BOX, kind, f"{sum(gone[n])} of {len(gone[n])} deleted"))
        if any(gone[n]) and not all(gone[n]):
            marks.append(svg.rect(x + _BOX / 2, y, _BOX / 2, _BOX, "left"))
        marks.append(svg.text(x + _BOX + 6, y + 10, labels[n], "label"))
    height = _TOP + max(row.values()) * _STEP + 6
    return svg.frame(_WIDTH, height, marks, f"{len(shown)} tables and which of them are contained in which")
