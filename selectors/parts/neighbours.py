"""Nearest neighbours behind one small interface: exact, or a graph (HNSW) or cells (IVF) with the recall measured."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .cluster import kmeans
from .draw import SAMPLE, uniform
from .lloyd import as_points, blocks, cores, one_thread, side_by_side

Kind = Literal["exact", "hnsw", "ivf"]
Search = Literal["auto", "exact", "hnsw", "ivf"]
_DEGREE, _BUILD = 32, 200  # HNSW: links a row, rows looked at while it is built
EXACT_UP_TO = 4e12  # multiplications of an exact search of all against all (100,000 rows of 384): a minute on one core


@dataclass
class Neighbours:
    """An index of n unit rows. `effort` is what a search may look at: rows (HNSW) or cells (IVF); nothing where exact."""

    kind: Kind
    index: Any
    effort: int

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """int64[m, k] rows of the index, nearest first, and float32[m, k] their cosines; -1 and -inf where none was found.

        Cost: exact O(n d) a query; the others look at a part of that.
        """
        import faiss

        points = as_points(queries, True)
        options = {"hnsw": lambda: faiss.SearchParametersHNSW(efSearch=max(self.effort, k)),
                   "ivf": lambda: faiss.SearchParametersIVF(nprobe=self.effort)}

        def one(at: slice) -> tuple[np.ndarray, np.ndarray]:
            chosen = options[self.kind]() if self.kind in options else None
            cosines, rows = self.index.search(points[at], k, params=chosen)
            return rows, cosines

        found = side_by_side(one, blocks(len(points)), cores())
        if not found:
            return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
        return np.concatenate([r for r, _ in found]), np.concatenate([c for _, c in found])


def build(vectors: np.ndarray, kind: Kind = "exact", *, seed: int = 0, effort: int | None = None) -> Neighbours:
    """An index of the rows, scaled to length 1.

    HNSW is built on one thread: its links depend on the order in which rows arrive, so the order of the rows matters,
    and nothing else does. IVF's cells (four times the root of the rows) are our own k-means: `seed` decides them.
    """
    import faiss

    points = as_points(vectors, True)
    if kind == "exact":
        index = faiss.IndexFlatIP(points.shape[1])
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(points.shape[1], _DEGREE, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _BUILD
    else:
        from_kmeans = _cells(points, seed)
        flat = faiss.IndexFlatIP(points.shape[1])
        flat.add(from_kmeans)
        index = faiss.IndexIVFFlat(flat, points.shape[1], len(from_kmeans), faiss.METRIC_INNER_PRODUCT)
        index.train(points[: len(from_kmeans)])
    with one_thread():
        index.add(points)
    return Neighbours(kind, index, effort or {"exact": 0, "hnsw": 128, "ivf": 16}[kind])


def _cells(points: np.ndarray, seed: int) -> np.ndarray:
    return kmeans(points, max(1, int(4 * len(points) ** 0.5)), seed=seed, iterations=10, sample_per_centroid=64).centroids


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the exact neighbours (int64[m, k]) that were found."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True))
    return hits / exact.size if exact.size else 1.0


def calibrated(
    vectors: np.ndarray, kind: Kind, k: int, *, seed: int = 0, least: float = 0.95, queries: int = 500,
) -> tuple[Neighbours, float]:
    """An index whose effort is the smallest power of two with which the share `least` of the k nearest others is found, and that
    share, measured on `queries` rows drawn by hash against exact search. A row's finding itself counts for nothing.
    """
    built = build(vectors, kind, seed=seed)
    asked = np.argsort(uniform(seed, np.arange(len(vectors)), stream=SAMPLE), kind="stable")[:queries]
    exact, best = _others(*build(vectors).search(vectors[asked], k + 1), asked)[0], 0.0
    for power in range(0 if kind == "ivf" else 4, 15):
        built.effort = 2**power
        best = recall(_others(*built.search(vectors[asked], k + 1), asked)[0], exact)
        if best >= least or kind == "exact":
            break
    return built, best


def _others(rows: np.ndarray, cosines: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What was found for the rows `asked`, each without itself; where that is not listed, among many equal rows, the last goes."""
    own = rows == asked[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), rows.shape[1] - 1)
    return rows[~own].reshape(shape), cosines[~own].reshape(shape)


@dataclass(frozen=True)
class Graph:
    """int64[n, k] the other rows nearest to each, -1 where there are fewer, float32[n, k] their cosines; how they were searched
    for, and the share of the true ones that was found, of `calibrated`'s sample."""

    rows: np.ndarray
    cosines: np.ndarray
    search: Kind
    recall: float


def graph(vectors: np.ndarray, k: int, *, search: Search = "auto", least: float = 0.95, seed: int = 0) -> Graph:
    """The k nearest other rows of each row; auto: exact up to 100,000 rows of 384, HNSW above.

    HNSW and IVF look at as much as a recall of `least` needs, which is measured (`calibrated`).
    A row is not its own neighbour, but equal rows are each other's.
    """
    if not 0 < least <= 1:
        raise ValueError(f"recall is {least}; it must be above 0 and at most 1")
    kind: Kind = search if search != "auto" else "exact" if len(vectors) ** 2 * vectors.shape[1] <= EXACT_UP_TO else "hnsw"
    k = min(k, max(len(vectors) - 1, 1))
    plain = kind == "exact" or len(vectors) < 2
    built, said = (build(vectors), 1.0) if plain else calibrated(vectors, kind, k, seed=seed, least=least)
    return Graph(*_others(*built.search(vectors, k + 1), np.arange(len(vectors))), kind, said)
