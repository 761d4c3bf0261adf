"""What comes of the edges: clusters, whom each keeps, and a decision for every row that leaves."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...operators.dedup import edges, keep
from ..index.against import Known, settle
from ..ledger import ID
from ..plan import Stage
from ..steps import Step
from ..workspace import atomically, write_json, write_table
from .candidates import Corpus
from .narrow import DECISION, decisions

CHAINED = "less alike to the kept row than asked: they are linked through others of the cluster"
Likeness = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (a, b) rows of one cluster -> exact Jaccard


def write(
    corpus: Corpus, stage: Stage, first: np.ndarray, linked: edges.Edges, labels: np.ndarray, likeness: Likeness | None,
    facts: dict[str, Any],
) -> None:
    """Write pairs.parquet, clusters.parquet, facts.json and, last, decisions.parquet with a row group for each part.

    `first` and `labels` as of `firsts` and `components`; `likeness` None: keys alone have decided.
    """
    folder, ids, step = corpus.folder, corpus.column("id"), stage.steps[0]
    known = settle(folder, stage.known, step, range(len(corpus.rows)), ids, labels)
    unknown = np.nan if likeness is None else 1.0
    twins = np.flatnonzero(first != np.arange(len(first)))
    pairs = edges.ascending(
        np.append(linked.a, first[twins].astype(np.int64)), np.append(linked.b, twins),
        np.append(linked.similarity, np.full(len(twins), unknown)),
    )
    write_table(folder.path / "pairs.parquet", pa.table({"a": ids[pairs.a], "b": ids[pairs.b], "similarity": pairs.similarity}))
    sizes = np.bincount(labels, minlength=1)
    sizes[labels[known.rows]] = 0  # such a cluster leaves whole, for a document of the index
    together = np.flatnonzero(sizes[labels] > 1)
    kept = together[_kept(corpus, step, together, labels[together])]
    members = pa.table({ID: ids[together], "cluster": ids[labels[together]], "kept_id": ids[kept]})
    write_table(folder.path / "clusters.parquet", members.sort_by([("cluster", "ascending"), (ID, "ascending")]))
    clusters = sizes[sizes > 1]
    facts |= {"clusters": len(clusters), "largest": int(clusters.max(initial=0)), "pairs": len(pairs)}
    facts |= {"indexed": len(known.rows)} if stage.known is not None and stage.known.against else {}
    write_json(folder.path / "facts.json", facts)
    leaves, stays = together[kept != together], kept[kept != together]
    similarity = np.full(len(leaves), np.nan)
    if likeness is not None:
        similarity = likeness_of(linked, first[leaves].astype(np.int64), first[stays].astype(np.int64), likeness)
    _write_decisions(corpus, step, (ids, leaves, stays), similarity, known, likeness is not None)


def _kept(corpus: Corpus, step: Step, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int64[m]: the place in `rows` (ascending) of the row that stays for each of them."""
    rule, by = keeping(step, lambda name: corpus.column(name)[rows])
    return keep.kept(np.searchsorted(rows, labels), rule=rule, **by)


def keeping(step: Step, column: Callable[[str], np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
    """The keep rule and what it chooses by, of the rows' own columns."""
    rule = step.extra["keep"]
    needs = {"longest": ("length", "length"), "best": ("score", "score"), "oldest": ("date", "score")}
    return rule, {name: column(held) for name, held in [needs[rule]]} if rule in needs else {}


def likeness_of(linked: edges.Edges, leaves: np.ndarray, stays: np.ndarray, likeness: Likeness) -> np.ndarray:
    """float64[m]: of each row that leaves to the row that stays: 1 for one text, else from their edge, else worked out."""
    a, b = np.minimum(leaves, stays), np.maximum(leaves, stays)
    found = np.ones(len(a))
    other = np.flatnonzero(a != b)
    known, asked = _pair(linked.a, linked.b), _pair(a[other], b[other])
    if len(known):
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        there = known[place] == asked
        found[other[there]] = linked.similarity[place[there]]
        other = other[~there]
    found[other] = likeness(a[other], b[other])
    return found


def _pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.uint64) << np.uint64(32) | b.astype(np.uint64)


def _write_decisions(
    corpus: Corpus, step: Step, rows: tuple[np.ndarray, np.ndarray, np.ndarray], similarity: np.ndarray, known: Known,
    verified: bool,
) -> None:
    ids, leaves, stays = rows
    cuts, bound = np.searchsorted(leaves, corpus.starts), _bound(step, verified)

    def groups(path: Any) -> None:
        with pq.ParquetWriter(path, DECISION, compression="zstd", compression_level=1) as writer:
            for part, (low, high) in enumerate(pairwise(cuts.tolist())):
                table = decided(step, ids[leaves[low:high]], ids[stays[low:high]], similarity[low:high], verified)
                indexed = known.between(int(corpus.starts[part]), int(corpus.starts[part + 1]), ids, bound)
                table = pa.concat_tables([table, indexed]).sort_by(ID) if len(indexed) else table
                writer.write_table(table, row_group_size=max(len(table), 1))

    atomically(corpus.folder.path / "decisions.parquet", groups)


def decided(step: Step, ids: np.ndarray, kept: np.ndarray, similarity: np.ndarray, verified: bool) -> pa.Table:
    """A line for each of `ids`, which leave for `kept`."""
    bits = step.settings.get("hamming_distance")
    threshold = float(step.settings.get("jaccard_threshold", 1.0)) if bits is None else 1.0 - bits / 64
    note = pc.if_else(pa.array(similarity < threshold), CHAINED, pa.scalar(None, pa.string()))
    return decisions(
        ids, reason="duplicate", stat="similarity", value=similarity, kept_id=kept, bound=_bound(step, verified), note=note
    )


def _bound(step: Step, verified: bool) -> str:
    threshold = step.settings.get("jaccard_threshold")
    if "hamming_distance" in step.settings:
        return f"1 - bits/64 of the SimHashes, Hamming distance <= {step.settings['hamming_distance']}"
    if threshold is None:
        return "equal after normalisation"
    return f"Jaccard >= {threshold:g}" if verified else f"shares a band for Jaccard {threshold:g}, unverified"
