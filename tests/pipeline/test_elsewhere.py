"""Vectors that stay where they lie answer as vectors that are held: the parts against the whole, and runs either way."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.pipeline.engines.local import LocalEngine
from tamis.pipeline.formats import splits
from tamis.pipeline.ledger import ID, POSITION, SOURCE
from tamis.pipeline.run import run
from tamis.pipeline.stages import elsewhere, select
from tamis.pipeline.stages.elsewhere import PartVectors, bytes_held
from tamis.pipeline.stages.lineage import Lineage
from tamis.pipeline.workspace import StageFolder, write_table
from tamis.selectors.base import Pool
from tamis.selectors.diversity import kmeans_diversity
from tamis.selectors.parts.cluster import Held, kmeans

WIDE = 6


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(1)


def parts_of(folder: Path, sizes: list[int], seed: int) -> tuple[Lineage, np.ndarray, list[np.ndarray]]:
    """Parts with vectors in another order than the rows, of which some rows have gone since; the vectors of those that stand, and their ids."""
    rng = np.random.default_rng(seed)
    rows, made, gone = StageFolder(folder / "rows"), StageFolder(folder / "vectors"), StageFolder(folder / "gone")
    found, ids = [np.empty((0, WIDE), np.float32)], []
    for part, size in enumerate(sizes):
        here = rng.permutation(10 * size).astype(np.int64)[:size] + 10_000 * part
        vectors = rng.standard_normal((size, WIDE)).astype(np.float16)
        keys = {ID: here, SOURCE: ["s"] * size, POSITION: np.arange(size)}
        write_table(rows.path / f"rows/part-{part:05d}-000.parquet", pa.table(keys))
        rows.finish_part(part, {"pieces": 1})
        order = rng.permutation(size)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors[order].reshape(-1)), WIDE)
        write_table(made.file("vectors", part), pa.table({ID: here[order], "vector": column}))
        leaves = rng.random(size) < 0.2
        write_table(gone.file("ledger", part), pa.table({ID: np.sort(here[leaves])}))
        found.append(vectors[~leaves].astype(np.float32))
        ids.append(here[~leaves])
    return Lineage(rows).after_embedding(made).after_narrow(gone), np.concatenate(found), ids


def far(folder: Path, engine: LocalEngine, sizes: list[int], seed: int) -> tuple[PartVectors, np.ndarray, np.ndarray]:
    before, vectors, ids = parts_of(folder, sizes, seed)
    asked = PartVectors(engine, StageFolder(folder / "select"), before, tuple(range(len(sizes))), tuple(ids))
    return asked, vectors, np.concatenate(ids)


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_rows_in_any_order_and_each_ones_nearest(
    tmp_path_factory: pytest.TempPathFactory, engine: LocalEngine, sizes: list[int], seed: int, data: st.DataObject
) -> None:
    asked, vectors, _ = far(tmp_path_factory.mktemp("far"), engine, sizes, seed)
    assert len(asked) == len(vectors)
    rows = np.array(data.draw(st.lists(st.integers(0, max(0, len(vectors) - 1)), unique=True) if len(vectors) else st.just([])), np.int64)
    assert np.array_equal(asked.take(rows)[:, : vectors.shape[1]], vectors[rows]) or not len(rows)
    if len(vectors):
        centroids = np.random.default_rng(seed + 1).standard_normal((3, WIDE)).astype(np.float32)
        for spherical in (True, False):
            for mine, theirs in zip(asked.nearest(centroids, spherical), Held(vectors).nearest(centroids, spherical), strict=True):
                assert mine.tobytes() == theirs.tobytes() and mine.dtype == theirs.dtype
    assert asked.unusable() == (0, 0)


def test_a_clustering_and_a_choice_have_the_bits_of_vectors_that_are_held(tmp_path: Path, engine: LocalEngine) -> None:
    asked, vectors, ids = far(tmp_path, engine, [300, 0, 170, 41], 7)
    for k, told in ((9, {}), (40, {"sample_per_centroid": 4}), (1, {"spherical": False})):
        mine, theirs = (kmeans(v, k, seed=3, ids=ids, **told) for v in (asked, vectors))
        assert all(getattr(mine, name).tobytes() == getattr(theirs, name).tobytes() for name in ("labels", "centroids", "distance"))
        assert mine.inertia == theirs.inertia
    quality = np.linspace(0.1, 1, len(ids))
    for method in ("kmq", "closest", "random"):
        mine, theirs = (kmeans_diversity(p, 60, seed=5, method=method) for p in (
            Pool(ids, quality=quality, elsewhere=asked), Pool(ids, vectors, quality=quality)))
        assert mine.index.tolist() == theirs.index.tolist() and mine.gain.tobytes() == theirs.gain.tobytes() and mine.facts == theirs.facts


def test_what_is_no_use_is_counted_over_all_parts(tmp_path: Path, engine: LocalEngine) -> None:
    asked, _, ids = far(tmp_path, engine, [5, 6], 1)
    for part, value in ((0, 0.0), (1, np.nan)):
        held = pa.FixedSizeListArray.from_arrays(pa.array(np.full(WIDE * len(asked.ids[part]), value, np.float16)), WIDE)
        write_table(asked.before.vectors.file("vectors", part), pa.table({ID: asked.ids[part], "vector": held}))  # type: ignore[union-attr]
    broken, zero = asked.unusable()
    assert (broken, zero) == (len(asked.ids[1]), len(asked.ids[0]))
    with pytest.raises(ValueError, match=f"of {len(ids)} vectors {broken} hold NaN or infinity and {zero} are zero"):
        kmeans_diversity(Pool(ids, elsewhere=asked), 3, seed=0)


def recipe(folder: Path, name: str, selector: dict[str, Any]) -> dict[str, Any]:
    return {"dataset_path": str(folder / "data"), "export_path": str(folder / name), "np": 1, "seed": 2,
            "process": [{"text_embedding_mapper": {"vector_key": "v"}}, {"random_selector": {"select_ratio": 0.8}}, selector]}


@pytest.mark.parametrize("settings_of, left_there", [
    ({"k": 7}, True), ({"k": "root"}, True), ({}, True), ({"k": "silhouette"}, False), ({"k": 5, "clustering": "kmedoids"}, False),
])
def test_a_run_that_leaves_its_vectors_where_they_are_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_of: dict[str, Any], left_there: bool
) -> None:
    rng = np.random.default_rng(3)
    (tmp_path / "data").mkdir()
    for i in range(3):
        table = pa.table({"text": [f"row {i} {j}" for j in range(50)], "v": [v.tolist() for v in rng.standard_normal((50, WIDE))]})
        pq.write_table(table, tmp_path / "data" / f"{i}.parquet")
    monkeypatch.setattr(splits, "SMALLEST", 1)
    selector = {"kmeans_diversity_selector": {"select_num": 40, **settings_of}}
    held = run(recipe(tmp_path, "held", selector))
    asked = []
    monkeypatch.setattr(elsewhere, "HELD", 0)
    monkeypatch.setattr(select, "HELD", 0)
    monkeypatch.setattr(PartVectors, "nearest", lambda self, *told, _plain=PartVectors.nearest: asked.append(1) or _plain(self, *told))
    there = run(recipe(tmp_path, "there", selector))
    assert bool(asked) == left_there
    assert there["content_hash"] == held["content_hash"] and there["steps"] == held["steps"]
    assert [f["digest"] for f in there["ledger"]] == [f["digest"] for f in held["ledger"]]
    assert not list((tmp_path / "there").glob("work/*/asked"))


def test_how_much_vectors_would_take(tmp_path: Path) -> None:
    before, _, _ = parts_of(tmp_path, [10, 4], 0)
    assert bytes_held(before, range(2)) == 14 * WIDE * 4 and bytes_held(before, range(0)) == 0
    assert bytes_held(Lineage(before.rows), range(2)) == 0
