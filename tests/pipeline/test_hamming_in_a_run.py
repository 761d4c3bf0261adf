"""SimHash deduplication through a run against all pairs by brute force: clusters, the rows that stay, every ledger line."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis.operators import catalog
from tamis.pipeline.formats import splits
from tamis.pipeline.ledger import ID, POSITION
from tamis.pipeline.run import run
from tamis.pipeline.stages.dedup import CHAINED
from tamis.pipeline.verify import check

OP = "document_simhash_deduplicator"
HOW = {"window_size": 2, "hamming_distance": 6, "num_blocks": 8}


def texts(seed: int) -> list[str | None]:
    rng = np.random.default_rng(seed)
    made: list[str | None] = [None, "", "one", "one", "ONE"]
    for _ in range(12):
        words = rng.integers(0, 500, 40).astype(str)
        for _ in range(rng.integers(1, 5)):
            edited = words.copy()
            edited[rng.random(40) < rng.choice([0.0, 0.03, 0.08])] = "x"
            made += [" w".join(edited)] * int(rng.integers(1, 3))
    return [made[i] for i in rng.permutation(len(made))]


def go(folder: Path, rows: list[str | None], **step: Any) -> tuple[dict[str, Any], list[dict[str, Any]], dict[int, int]]:
    folder.mkdir()
    pq.write_table(pa.table({"text": pa.array(rows, pa.string()), "q": list(range(len(rows)))}), folder / "rows.parquet", row_group_size=9)
    made = run({"dataset_path": str(folder / "rows.parquet"), "export_path": str(folder / "out"), "np": 1, "process": [{OP: HOW | step}]})
    ledger = pq.read_table(folder / "out" / "ledger").to_pylist()
    return made, ledger, {r[ID]: r[POSITION] for r in [*ledger, *pq.read_table(folder / "out" / "kept").to_pylist()]}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rule", ["first", "longest"])
def test_all_rows_within_the_distance_are_one_cluster(tmp_path: Path, seed: int, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "SMALLEST", 1)
    rows = texts(seed)
    keys = catalog.by_name(OP).function(pa.array(rows, pa.string()), **HOW).to_pylist()
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    def apart(a: int, b: int) -> int:
        return (keys[a][0] ^ keys[b][0]).bit_count()

    for b in range(len(rows)):
        for a in range(b):
            if keys[a] and keys[b] and (rows[a] == rows[b] or apart(a, b) <= HOW["hamming_distance"]):
                low, high = sorted((root(a), root(b)))
                parent[high] = low
    clusters: dict[int, list[int]] = {}
    for i in range(len(rows)):
        clusters.setdefault(root(i), []).append(i)
    kept = {i: c[0] if rule == "first" else max(c, key=lambda i: (len(rows[i] or ""), -i)) for c in clusters.values() for i in c}
    made, ledger, place = go(tmp_path / "run", rows, keep=rule)
    lines = {r[POSITION]: r for r in ledger if r["reason"] == "duplicate"}
    assert {i: place[line["kept_id"]] for i, line in lines.items()} == {i: k for i, k in kept.items() if k != i} and len(lines) > 5
    for i, line in lines.items():
        bits = 0 if rows[i] == rows[kept[i]] else apart(i, kept[i])
        assert line["value"] == pytest.approx(1 - bits / 64) and line["stat"] == "similarity"
        assert line["bound"] == "1 - bits/64 of the SimHashes, Hamming distance <= 6"
        assert line["note"] == (CHAINED if bits > 6 else None)
    facts = made["steps"][1]["facts"]
    assert facts["clusters"] == sum(len(c) > 1 for c in clusters.values()) and facts["largest"] == max(map(len, clusters.values()))
    assert {f.level for f in check(tmp_path / "run" / "out")} == {"ok"}


def test_a_distance_of_nothing_is_equality_of_the_hashes(tmp_path: Path) -> None:
    rows = texts(5)
    keys = [k[0] if k else None for k in catalog.by_name(OP).function(pa.array(rows, pa.string()), **HOW).to_pylist()]
    _, ledger, _ = go(tmp_path / "run", rows, hamming_distance=0)
    seen: set[int | None] = {None}
    again = [i for i, k in enumerate(keys) if k in seen or seen.add(k)]
    assert sorted(r[POSITION] for r in ledger if r["reason"] == "duplicate") == [i for i in again if keys[i] is not None]
    assert {r["value"] for r in ledger if r["reason"] == "duplicate"} == {1.0}
