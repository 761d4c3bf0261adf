"""The deduplication section: how many clusters, how large, and the largest with the row that stays and those that left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from markupsafe import Markup

from ..ledger import ID
from ..plan import Plan
from ..workspace import StageFolder
from . import numbers, scurve, svg
from .shelf import Example, Shelf, by_chance

LARGEST, MEMBERS = 5, 3
SIZES = ((2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 1000), (1001, 10**18))


@dataclass(frozen=True)
class ClusterView:
    """One cluster: its size, the row that stays, some that left, each with its similarity to the one that stays."""

    size: int
    kept: Example
    members: list[Example]


@dataclass(frozen=True)
class DedupView:
    """One deduplicator as the page shows it."""

    told: Mapping[str, Any]
    clusters: int
    rows: int
    largest: int
    sizes: Markup
    similarity: Markup | None
    shown: list[ClusterView]
    curve: Markup | None = None
    recall: str = ""


def views(manifest: Mapping[str, Any], plan: Plan, folders: Mapping[int, StageFolder], shelf: Shelf) -> Iterator[DedupView]:
    """One view per deduplicator, in order. Cost: 24 bytes for each row that has a duplicate."""
    told = {s["step"]: s for s in manifest["steps"]}
    for stage in plan.stages:
        if stage.kind == "dedup":
            yield _view(told[stage.steps[0].number], folders[stage.index], shelf)


def _view(told: Mapping[str, Any], folder: StageFolder, shelf: Shelf) -> DedupView:
    table = pq.read_table(folder.path / "clusters.parquet", columns=[ID, "cluster", "kept_id"])
    ids, labels, kept = (table.column(c).to_numpy() for c in (ID, "cluster", "kept_id"))
    names, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    gone = pq.read_table(folder.path / "decisions.parquet", columns=[ID, "value", "note"]).sort_by(ID)
    gone_ids, similarity = gone.column(ID).to_numpy(), numbers.floats(gone.column("value"))
    chained = gone.column("note").is_valid().to_pylist()  # less alike than asked
    labels_of = [_alike(s) + (", linked through others" if far else "") for s, far in zip(similarity, chained, strict=True)]
    order = np.lexsort((names, -sizes))[:LARGEST]
    shown = [_cluster(ids[index == c], kept[index == c], gone_ids, labels_of, shelf) for c in order]
    return DedupView(
        told, len(names), len(ids), int(sizes.max(initial=0)), _sizes(sizes), _similarities(similarity), shown,
        scurve.curve(told["facts"]), scurve.words(told["facts"]))


def _cluster(ids: np.ndarray, kept: np.ndarray, gone: np.ndarray, told: list[str], shelf: Shelf) -> ClusterView:
    """`gone` is sorted; each row that left finds there what is told of it."""
    out = ids[ids != kept]
    out = out[by_chance(out, MEMBERS)]
    members = [shelf.take(int(i), label=told[int(np.searchsorted(gone, i))]) for i in out]
    return ClusterView(len(ids), shelf.take(int(kept[0]), label="stays"), members)


def _sizes(sizes: np.ndarray) -> Markup:
    """Clusters by size."""
    rows = []
    for low, high in SIZES:
        count = int(((sizes >= low) & (sizes <= high)).sum())
        if count or low <= min(int(sizes.max(initial=2)), 3):
            rows.append((f"{low} rows" if low == high else f"over {low - 1:,}" if high > 10**6 else f"{low}–{high} rows", count, 0))
    return svg.bars(rows, "Clusters by number of rows")


def _alike(similarity: float) -> str:
    return "not verified" if np.isnan(similarity) else f"{similarity:.3f}"


def _similarities(similarity: np.ndarray) -> Markup | None:
    """How alike the rows that left are to those kept; None where keys alone decide."""
    if not len(similarity) or ((similarity == 1) | np.isnan(similarity)).all():
        return None
    told = numbers.spread(similarity)
    drawn = numbers.histogram(similarity, np.ones(len(similarity), bool), told, [1.0])
    return svg.histogram(drawn, [], "Similarity of the rows that left to the row kept", height=150)
