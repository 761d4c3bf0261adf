"""Schema graph (SGB): which schema holds which, complete and exact, over distinct schemas.

Source: Shah et al., R2D2 (SIGMOD 2024), schema graph builder. A schema that no cluster's centre holds becomes a centre;
otherwise it joins every cluster whose centre holds it; pairs are compared within clusters. If A is held by B, some centre
holds B, hence A: the pair meets there. Nothing is missed, and every answer was compared.
"""

from collections.abc import Iterable, Sequence

import numpy as np


def distinct_schemas(schemas: Iterable[Iterable[str]]) -> tuple[list[frozenset[str]], np.ndarray]:
    """The distinct sets of column names in order of first appearance, and int64[n]: which one each table has."""
    number: dict[frozenset[str], int] = {}
    of = [number.setdefault(frozenset(names), len(number)) for names in schemas]
    return list(number), np.array(of, np.int64)


def bitsets(schemas: Sequence[frozenset[str]]) -> np.ndarray:
    """uint64[n, w]: each schema as bits over the sorted vocabulary of all names; w is at least 1."""
    vocabulary = {name: i for i, name in enumerate(sorted(set().union(*schemas)))}
    bits = np.zeros((len(schemas), max(1, -(-len(vocabulary) // 64))), np.uint64)
    for row, names in enumerate(schemas):
        at = np.array([vocabulary[n] for n in names], np.int64)
        np.bitwise_or.at(bits[row], at >> 6, np.uint64(1) << (at & 63).astype(np.uint64))
    return bits


def schema_pairs(schemas: Sequence[frozenset[str]]) -> np.ndarray:
    """int64[m, 2]: every (parent, child) of distinct schemas with columns(child) within columns(parent), sorted.

    A schema is not paired with itself. Empty schemas are children of all. Cost: one subset test for each schema and each
    centre that has its rarest column, and for each pair within a cluster; a test is w words.
    """
    bits, often = bitsets(schemas), _frequency(schemas)
    clusters: list[list[int]] = []
    holding: dict[str, list[int]] = {}  # column -> clusters whose centre has it
    centres: list[int] = []
    for schema in sorted(range(len(schemas)), key=lambda s: (-len(schemas[s]), s)):
        names = schemas[schema]
        near = holding.get(min(names, key=lambda n: (often[n], n)), []) if names else list(range(len(clusters)))
        hits = [c for c in near if not (bits[schema] & ~bits[centres[c]]).any()]
        for cluster in hits:
            clusters[cluster].append(schema)
        if not hits:
            for name in names:
                holding.setdefault(name, []).append(len(clusters))
            clusters.append([schema])
            centres.append(schema)
    found = [_within(np.array(members), bits) for members in clusters if len(members) > 1]
    return np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)


def _frequency(schemas: Sequence[frozenset[str]]) -> dict[str, int]:
    often: dict[str, int] = {}
    for names in schemas:
        for name in names:
            often[name] = often.get(name, 0) + 1
    return often


def _within(members: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """(parent, child) among the members of one cluster."""
    found = []
    for child in members:
        holds = ~(bits[child] & ~bits[members]).any(axis=1)
        parents = members[holds & (members != child)]
        found.append(np.stack([parents, np.full(len(parents), child)], axis=1))
    return np.concatenate(found)


def edge_count(pairs: np.ndarray, of: np.ndarray) -> int:
    """Edges between tables that the schema graph has: ordered pairs, equal schemas included, no table with itself."""
    sizes = np.bincount(of).astype(np.int64) if len(of) else np.zeros(0, np.int64)
    across = int((sizes[pairs[:, 0]] * sizes[pairs[:, 1]]).sum()) if len(pairs) else 0
    return across + int((sizes * (sizes - 1)).sum())
