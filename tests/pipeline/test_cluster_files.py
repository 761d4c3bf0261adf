"""clusters.parquet against plain Python: counts, the medoid, whose words are read; and what recall is said to be, against its formula."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.operators.dedup.edges import Buckets
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.stages import explain, recall
from tamis.pipeline.stages.lineage import Lineage
from tamis.pipeline.workspace import StageFolder, write_table
from tamis.selectors.base import Pool
from tamis.selectors.parts.draw import SAMPLE, uniform
from tamis.selectors.parts.explain import characteristic


def stored(folder: Path, texts: list[str | None], ids: np.ndarray, parts: int) -> Lineage:
    made = StageFolder(folder / "01-rows-0123456789abcdef")
    for part, rows in enumerate(np.array_split(np.arange(len(ids)), parts)):
        keys = {ID: pa.array(ids[rows]), SOURCE: pa.array(["s"] * len(rows), pa.string()), POSITION: pa.array(rows)}
        write_table(made.path / f"rows/part-{part:05d}-000.parquet", pa.table(keys | {"text": pa.array([texts[i] for i in rows], pa.string())}))
        made.finish_part(part, {"pieces": 1})
    return Lineage(made)


def explained(folder: Path, texts: list[str | None], pool: Pool, notes: dict[str, np.ndarray], picked: np.ndarray, parts: int = 2) -> list[dict[str, Any]]:
    out = StageFolder(folder / "02-select-0123456789abcdef")
    explain.explain(out, stored(folder, texts, pool.ids, parts), range(parts), "text", pool, notes, picked)
    file = out.path / "clusters.parquet"
    return pq.read_table(file).to_pylist() if file.exists() else []


WORDS = ["river", "stone", "bridge", "market", "letter"]
ROW = st.tuples(st.integers(-1, 4), st.sampled_from([None, 0.25, 0.5, 1.0]), st.booleans(),
                st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)))


@settings(max_examples=20)
@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 3), st.integers(1, 5))
def test_each_cluster_is_what_a_loop_finds(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], parts: int, each: int) -> None:
    label, distance, picked, texts = (list(column) for column in zip(*rows, strict=True))
    ids = np.random.default_rng(len(rows)).permutation(len(rows)) * 10 - 40
    away = np.array([np.nan if d is None else d for d in distance])
    held = explain.OF_EACH
    explain.OF_EACH = each
    try:
        found = explained(tmp_path_factory.mktemp("clusters"), texts, Pool(ids), {"cluster": np.array(label), "distance": away}, np.array(picked), parts)
    finally:
        explain.OF_EACH = held
    members = {c: [i for i in range(len(rows)) if label[i] == c] for c in sorted(set(label) - {-1})}
    chance = uniform(0, ids, stream=SAMPLE)
    read = {c: sorted(own, key=lambda i: (chance[i], ids[i]))[: max(3, each)] for c, own in members.items()}
    words = dict(zip(members, characteristic([[texts[i] for i in own] for own in read.values()]), strict=True))
    wanted = []
    for c in sorted(members, key=lambda c: (-len(members[c]), c)):
        own = members[c]
        medoid = min(own, key=lambda i: (np.inf if np.isnan(away[i]) else away[i], ids[i]))
        wanted.append({"cluster": c, "rows": len(own), "picked": sum(picked[i] for i in own), "medoid": ids[medoid],
                       "text": texts[medoid] or "", "terms": [w for w, _ in words[c]], "z": pytest.approx([z for _, z in words[c]])})
    assert found == wanted


def test_only_the_largest_clusters_are_told_of_and_only_the_beginning_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "CLUSTERS", 2)
    labels = np.array([0] * 3 + [1] * 5 + [2] * 3 + [3])
    found = explained(tmp_path, ["é" * 1000] * 12, Pool(np.arange(12)), {"cluster": labels}, np.ones(12, bool))
    assert [(c["cluster"], c["rows"], c["picked"]) for c in found] == [(1, 5, 5), (0, 3, 3)]
    assert found[0]["text"] == "é" * explain.SHOWN and found[0]["medoid"] == 3, "without distances the lowest id stands for it"


def test_where_no_row_has_a_cluster_nothing_is_written(tmp_path: Path) -> None:
    assert explained(tmp_path, ["a"], Pool(np.arange(1)), {"cluster": np.array([-1])}, np.array([False]), 1) == []


# ---- recall

@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(5, 100), st.booleans()), min_size=1, max_size=20), st.integers(1, 30), st.integers(1, 8))
def test_recall_weighs_each_pair_by_how_unlikely_it_was_drawn(pairs: list[tuple[int, bool]], bands: int, rows: int) -> None:
    likeness, together = np.array([s / 100 for s, _ in pairs]), np.array([t for _, t in pairs])
    told = recall.of_likeness(likeness, together, {"threshold": 0.7, "bands": bands, "rows": rows})
    alike = [(s / 100, t) for s, t in pairs if s >= 70]
    assert told["sampled_pairs"] == len(alike)
    if alike:
        weight = sum(1 / s for s, _ in alike)
        assert told["measured_recall"] == pytest.approx(sum(t / s for s, t in alike) / weight, abs=1e-6)
        assert told["expected_of_sample"] == pytest.approx(sum((1 - (1 - s**rows) ** bands) / s for s, _ in alike) / weight, abs=1e-6)
    else:
        assert set(told) == {"sampled_pairs"}


def test_the_estimate_is_right_on_average() -> None:
    """A pair of likeness s shares its smallest shingle with chance s; of many such samples the mean is the share of all pairs."""
    rng = np.random.default_rng(0)
    likeness = rng.uniform(0.6, 1.0, 4000)
    found = rng.random(4000) < likeness**3  # likelier pairs are found more often, as bands do
    told = {"threshold": 0.6, "bands": 1, "rows": 3}
    estimates, plain = [], []
    for _ in range(300):
        drawn = rng.random(4000) < likeness
        estimates.append(recall.of_likeness(likeness[drawn], found[drawn], told)["measured_recall"])
        plain.append(found[drawn].mean())
    assert np.mean(estimates) == pytest.approx(found.mean(), abs=0.003) and np.mean(plain) > found.mean() + 0.01


@pytest.mark.parametrize(("sizes", "lengths", "budget", "many"), [
    ([2, 2, 2], [10] * 6, 1 << 20, 3), ([2, 2, 2], [10] * 6, 4 * 45, 2), ([3, 2], [100] * 5, 1199, 0), ([3, 2], [100] * 5, 1200, 1),
])
def test_as_many_groups_are_compared_as_their_sets_may_weigh(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], lengths: list[int], budget: int, many: int
) -> None:
    monkeypatch.setattr(recall, "BYTES", budget)
    groups = Buckets(np.arange(len(sizes), dtype=np.uint64), np.arange(sum(sizes)), np.cumsum([0, *sizes]))
    rows, bounds = recall._affordable(groups, np.array(lengths, np.int32))
    assert bounds.tolist() == np.cumsum([0, *sizes])[: many + 1].tolist() and len(rows) == sum(sizes)
