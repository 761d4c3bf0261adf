"""The map: vectors of a sample of rows on their two widest axes, by cluster, rows chosen apart from the others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import Markup

from ..ledger import ID
from ..plan import Plan
from ..stages.embed import matrix
from ..workspace import StageFolder
from .choice import words_of
from .shelf import by_chance, parts
from .svg import frame, path, rect, text
from .words import share

SAMPLE = 5000
COLOURS = 7  # clusters with a colour of their own; the others are grey
WIDTH, HEIGHT, EDGE = 1040.0, 560.0, 14.0


@dataclass(frozen=True)
class AtlasView:
    """The map as the page shows it; `legend`: (class, cluster, rows in the sample)."""

    picture: Markup
    shown: int
    rows: int
    share: float
    chosen: int
    selected: bool
    legend: list[tuple[str, str, int]]
    others: int


def view(plan: Plan, folders: Mapping[int, StageFolder]) -> AtlasView | None:
    """The map of the last embedding; None where the recipe has none or no row reached it."""
    stages = [s for s in plan.stages if s.kind == "embed"]
    if not stages:
        return None
    ids, vectors, rows = sample(folders[stages[-1].index])
    if len(ids) < 3:
        return None
    places, held = plane(vectors)
    after = [folders[s.index] for s in plan.stages if s.kind == "select" and s.index > stages[-1].index]
    chosen, clusters = _choice(after, ids)
    names, counts = np.unique(clusters[clusters >= 0], return_counts=True)
    coloured = names[np.lexsort((names, -counts))][:COLOURS]
    words = words_of(after[-1], 3) if after else {}
    legend = [(f"c{i}", f"cluster {n}{words.get(int(n), '')}", int((clusters == n).sum())) for i, n in enumerate(coloured)]
    colour = np.full(len(ids), "cx")
    for i, n in enumerate(coloured):
        colour[clusters == n] = f"c{i}"
    others = int((colour == "cx").sum()) if len(coloured) else 0
    if not len(coloured):
        colour[:] = "c0"
    picture = _draw(places, colour, chosen, [str(n) for n in coloured])
    return AtlasView(picture, len(ids), rows, held, int(chosen.sum()), bool(after), legend, others)


def sample(folder: StageFolder) -> tuple[np.ndarray, np.ndarray, int]:
    """ids int64[m], vectors float32[m, d] of the SAMPLE rows whose mixed ids are smallest, and how many rows there are.

    Cost: one part's vectors and the sample are held at a time.
    """
    ids, vectors, rows = np.empty(0, np.int64), np.empty((0, 0), np.float32), 0
    for file in parts(folder, "vectors"):
        table = pq.read_table(file, columns=[ID, "vector"])
        if not len(table):  # nor is it known how long its vectors would be
            continue
        rows += len(table)
        here = table.column(ID).to_numpy()
        best = by_chance(here, SAMPLE)
        more = matrix(table.column("vector").take(pa.array(best)))
        ids, vectors = np.concatenate([ids, here[best]]), np.concatenate([vectors, more]) if len(ids) else more
        best = by_chance(ids, SAMPLE)
        ids, vectors = ids[best], vectors[best]
    return ids, vectors, rows


def plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """float64[n, 2]: places on the two axes of largest variance; and the share of the variance that they hold.

    The sign of each axis is chosen so that its largest loading is positive: the same map each time.
    """
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    places = centred @ axes
    if places.shape[1] < 2:
        places = np.column_stack([places, np.zeros(len(places))])
    total = float(variances.sum())
    return places, float(variances[::-1][:2].sum() / total) if total > 0 else 1.0


def _choice(folders: list[StageFolder], ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row was chosen by every selector, and its cluster in the last that tells one (-1: none)."""
    chosen, clusters = np.ones(len(ids), bool), np.full(len(ids), -1)
    for folder in folders:
        file = folder.path / "selection.parquet"
        names = pq.read_schema(file).names
        table = pq.read_table(file, columns=[c for c in (ID, "picked", "cluster") if c in names])
        at = pc.index_in(pa.array(ids), table.column(ID).combine_chunks())
        there = at.is_valid().to_numpy(zero_copy_only=False)
        told = table.take(at.filter(at.is_valid()))
        chosen &= there
        chosen[there] &= told.column("picked").to_numpy(zero_copy_only=False)
        if "cluster" in names:
            clusters[there] = told.column("cluster").to_numpy()
    return chosen, clusters


def _draw(places: np.ndarray, colour: np.ndarray, chosen: np.ndarray, names: list[str]) -> Markup:
    low, high = places.min(0), places.max(0)
    span = np.where(high > low, high - low, 1.0)
    xy = EDGE + (places - low) / span * (np.array([WIDTH, HEIGHT]) - 2 * EDGE)
    xy[:, 1] = HEIGHT - xy[:, 1]
    marks = [rect(0.5, 0.5, WIDTH - 1, HEIGHT - 1, "plate")]
    for picked in (False, True):
        for name in sorted(set(colour.tolist()), reverse=True):
            here = xy[(colour == name) & (chosen == picked)]
            if len(here):
                marks.append(path("".join(f"M{x:.1f} {y:.1f}h0" for x, y in here), f"dot {name} {'in' if picked else 'out'}"))
    for i, name in enumerate(names):
        x, y = np.median(xy[colour == f"c{i}"], axis=0)
        marks.append(text(x, y + 4, name, "halo", "middle"))
    return frame(WIDTH, HEIGHT, marks, f"Map of {len(xy):,} rows, {share(float(chosen.sum()), len(xy))} of them chosen")
