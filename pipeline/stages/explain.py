"""What each cluster of a selection is about: its rows, its medoid, its words; written beside the choice."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ...selectors.base import Pool
from ...selectors.parts.draw import SAMPLE, uniform
from ...selectors.parts.explain import characteristic
from ..ledger import ID
from ..workspace import StageFolder, write_table
from .lineage import Lineage, texts

ROWS, OF_EACH, CLUSTERS = 20_000, 50, 10_000  # rows that are read into words: in all, of each cluster; clusters explained
SHOWN = 400  # characters of a medoid's text


def explain(
    folder: StageFolder, before: Lineage, parts: range, key: str, pool: Pool, notes: Mapping[str, np.ndarray], picked: np.ndarray,
) -> None:
    """Write clusters.parquet: cluster, rows, picked, medoid (an id), its text, terms and their z-scores.

    The medoid is the row nearest to the centre: for spherical clusters also the row of the largest mean cosine to the
    others. Words are those of up to 50 rows of each cluster, drawn by hash. Clusters beyond the 10,000 largest are left out.
    Cost: a pass over the texts.
    """
    labels = notes["cluster"].astype(np.int64)
    names, place, sizes = np.unique(labels[labels >= 0], return_inverse=True, return_counts=True)
    if not len(names):
        return
    order = np.lexsort((names, -sizes))[:CLUSTERS]
    here = np.flatnonzero(labels >= 0)
    medoids = _first_of_each(here, place, notes.get("distance", np.zeros(len(labels))), pool.ids, len(names))
    sampled = _sample(here, place, pool.ids, len(names))
    wanted = np.unique(np.concatenate([medoids, sampled]))
    found = _texts(before, parts, key, pool.ids[wanted])
    place_of = np.full(len(labels), -1)
    place_of[here] = place
    groups: list[list[str | None]] = [[] for _ in names]
    for row in sampled.tolist():
        groups[place_of[row]].append(found.get(int(pool.ids[row])))
    terms = characteristic(groups)
    taken = np.bincount(place, picked[here], len(names)).astype(np.int64)
    write_table(folder.path / "clusters.parquet", pa.table({
        "cluster": names[order], "rows": sizes[order].astype(np.int64), "picked": taken[order], "medoid": pool.ids[medoids[order]],
        "text": pa.array([(found.get(int(pool.ids[medoids[i]])) or "")[:SHOWN] for i in order], pa.string()),
        "terms": pa.array([[w for w, _ in terms[i]] for i in order], pa.list_(pa.string())),
        "z": pa.array([[z for _, z in terms[i]] for i in order], pa.list_(pa.float64())),
    }))


def _first_of_each(here: np.ndarray, place: np.ndarray, distance: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    order = here[np.lexsort((ids[here], np.nan_to_num(distance[here].astype(float), nan=np.inf), place))]
    return order[np.cumsum(np.bincount(place, minlength=count)) - np.bincount(place, minlength=count)]


def _sample(here: np.ndarray, place: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """Up to so many rows of each cluster, by hash of their ids, as many of each."""
    each = max(3, min(OF_EACH, ROWS // count))
    order = np.lexsort((ids[here], uniform(0, ids[here], stream=SAMPLE), place))
    sizes = np.bincount(place, minlength=count)
    rank = np.arange(len(here)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return here[order][rank < each]


def _texts(before: Lineage, parts: range, key: str, ids: np.ndarray) -> dict[int, str | None]:
    """Id -> text of the given rows (sorted by row, not by id)."""
    wanted = np.sort(ids)
    found: dict[int, str | None] = {}
    for part in parts:
        for batch in before.read(part, [key]):
            own = batch.column(ID).to_numpy()
            at = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            rows = np.flatnonzero(wanted[at] == own)
            if len(rows):
                words = texts(batch, key, "clusters").take(pa.array(rows)).to_pylist()
                found |= dict(zip(own[rows].tolist(), words, strict=True))
    return found
